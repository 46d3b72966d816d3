use metrics_core::instrument;

#[instrument(path, method, path = path.trim())]
fn route(path: &str, method: &str) {
    let _ = (path, method);
}

fn main() {
    route("", "");
}

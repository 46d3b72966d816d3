use metrics_core::instrument;

#[instrument(path method, prefix = "9")]
fn route(path: &str, method: &str) {
    let _ = (path, method);
}

fn main() {
    route("", "");
}

use metrics_core::instrument;

#[instrument(type, method)]
fn route(method: &str) {
    let _ = method;
}

fn main() {
    route("");
}

use metrics_core::instrument;

#[instrument(path)]
fn route(request: &str) -> usize {
    request.len()
}

fn main() {
    route("");
}

use lazy_static::lazy_static;
use metrics_core::{Counter, Family, instrument};

lazy_static! {
    static ref REQUESTS: Family<Counter, 1> = Counter::builder("requests_total", "").labels(["path"]).register();
}

#[instrument(path, latency = REQUESTS)]
fn route(path: &str) -> usize {
    path.len()
}

fn main() {
    route("");
}

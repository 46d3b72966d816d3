use metrics_core::*;

fn main() {
    let requests = Counter::new("requests_total", "Requests.");
    let items = Gauge::new();
    let latency = Histogram::default();
}

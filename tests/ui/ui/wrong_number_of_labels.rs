use metrics_core::Counter;

fn main() {
    let requests = Counter::builder("requests_total", "Requests.").labels(["path", "method"]).build();
    requests.labels(["/foo"]).inc();
}

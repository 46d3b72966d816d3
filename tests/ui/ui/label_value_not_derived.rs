use metrics_core::*;

#[derive(Clone, Copy)]
enum Method {
    Get,
}

#[derive(Metrics)]
struct Shop {
    /// Requests.
    #[metric(labels(method: Method))]
    requests_total: Family<Counter, 1>,
}

#[instrument(method)]
fn route(method: Method) {}

#[instrument(method in [Method::Get])]
fn list(method: &str) {}

fn main() {
    Shop::register().requests_total(Method::Get).inc();
    route(Method::Get);
    list("");
}

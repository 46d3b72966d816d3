use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    /// Requests.
    #[metric(labels(path: &str))]
    requests_total: Family<Counter, 2>,
    /// Failures.
    #[metric(labels(path: &str))]
    failures_total: Counter,
    /// Retries.
    retries_total: Family<Counter, 1>,
}

fn main() {}

use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    /// Failures.
    #[metric(labels(kind: String))]
    failures_total: Family<Counter, 1>,
    /// Requests.
    #[metric(labels(path: &std::string::String))]
    requests_total: Family<Counter, 1>,
}

fn main() {
    Shop::register().failures_total("io").inc();
}

use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    /// Items.
    items: Option<Gauge>,
    /// Requests.
    #[metric(labels(path: &str))]
    requests_total: Option<Family<Counter, 1>>,
    #[metric(flatten)]
    db: Option<Db>,
    /// Labels without a family.
    #[metric(labels(path: &str))]
    misses_total: Counter,
    /// A family without labels.
    hits_total: Family<Counter, 1>,
}

#[derive(Metrics)]
struct Db {
    /// Queries.
    queries_total: Counter,
}

fn main() {}

use metrics_core::*;

#[derive(Metrics)]
#[metrics(const_labels(zone = "eu" rack = "1"))]
struct Shop {
    /// Items.
    #[metric(labels(path: &str kind: &str), max_series = 5)]
    items: Family<Gauge, 2>,
}

fn main() {}

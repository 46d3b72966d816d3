use metrics_core::*;

#[derive(Metrics)]
#[metrics(prefix = "shop", strict)]
struct Shop {
    /// Latency.
    latency_milliseconds: Summary,
    /// Wait.
    wait_ms: Summary,
    /// Items.
    items_gauge: Gauge,
    /// Allowed.
    #[metric(allow(base_unit))]
    wait_minutes: Gauge,
    /// Labels too.
    #[metric(labels(pathName: &str, method: &str), const_labels(zoneName = "eu"))]
    pages: Family<Gauge, 2>,
    /// Allowed.
    #[metric(labels(pathName: &str), allow(camel_case))]
    more_pages: Family<Gauge, 1>,
}

fn main() {}

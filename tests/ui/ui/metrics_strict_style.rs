use metrics_core::*;

#[derive(Metrics)]
#[metrics(prefix = "shop", strict)]
struct Shop {
    /// Latency.
    latency_milliseconds: Summary,
    /// Wait time.
    wait_ms: Summary,
    /// Items.
    items_gauge: Gauge,
    /// A unit that is explicitly allowed.
    #[metric(allow(base_unit))]
    wait_minutes: Gauge,
    /// Labels in camel case.
    #[metric(labels(pathName: &str, method: &str), const_labels(zoneName = "eu"))]
    pages: Family<Gauge, 2>,
    /// A label in camel case that is explicitly allowed.
    #[metric(labels(pathName: &str), allow(camel_case))]
    more_pages: Family<Gauge, 1>,
}

fn main() {}

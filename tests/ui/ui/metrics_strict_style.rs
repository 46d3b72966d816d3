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
}

fn main() {}

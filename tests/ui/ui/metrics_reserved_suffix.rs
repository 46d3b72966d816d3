use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    /// Items.
    items_count: Gauge,
    /// When they were made.
    items_created: Gauge,
    /// As above, and meant so.
    #[metric(allow(reserved))]
    pages_created: Gauge,
}

fn main() {}

use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    /// Items.
    items_count: Gauge,
    /// The time at which the items were created.
    items_created: Gauge,
    /// The same suffix, allowed explicitly.
    #[metric(allow(reserved))]
    pages_created: Gauge,
}

fn main() {}

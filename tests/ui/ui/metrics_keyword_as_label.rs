use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    /// Items.
    #[metric(labels(type: &str, self: &str, _: &str, crate: &str))]
    items: Family<Gauge, 4>,
}

fn main() {}

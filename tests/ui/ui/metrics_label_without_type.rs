use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    /// Items.
    #[metric(labels(kind))]
    items: Family<Gauge, 1>,
    /// Other items.
    #[metric(labels())]
    others: Gauge,
}

fn main() {}

use metrics_core::*;

struct Kind;

#[derive(Metrics)]
struct Shop {
    /// Items.
    #[metric(labels(kind: Kind))]
    items: Family<Gauge, 1>,
}

fn main() {}

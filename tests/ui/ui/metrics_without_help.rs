use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    items: Gauge,
    ///
    #[metric(labels(kind: &str))]
    other_items: Family<Gauge, 1>,
}

fn main() {}

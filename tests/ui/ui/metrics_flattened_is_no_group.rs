use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    #[metric(flatten)]
    items: u64,
    #[metric(flatten, prefix = "more")]
    more: Gauge,
}

fn main() {}

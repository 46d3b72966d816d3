use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    /// Sizes.
    #[metric(labels(le: &str, __path: &str, kind: &str, kind: &str))]
    sizes: Family<Gauge, 4>,
}

fn main() {}

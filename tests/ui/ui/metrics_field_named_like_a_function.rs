use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    /// Cash registers.
    #[metric(labels(path: &str))]
    register: Family<Gauge, 1>,
}

fn main() {}

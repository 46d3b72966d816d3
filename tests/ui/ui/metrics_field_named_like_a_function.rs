use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    /// Registers.
    #[metric(labels(path: &str))]
    register: Family<Gauge, 1>,
}

fn main() {}

use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    /// Latency.
    #[metric(unit = "seconds")]
    latency: Summary,
}

fn main() {}

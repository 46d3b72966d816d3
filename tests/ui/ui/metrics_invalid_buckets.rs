use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    /// Latency.
    #[metric(buckets(2, 1))]
    latency_seconds: Histogram,
    /// Sizes.
    #[metric(buckets(1))]
    size_bytes: Summary,
}

fn main() {}

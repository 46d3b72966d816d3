use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    /// Sizes.
    #[metric(buckets(1))]
    size_bytes: Summary,
}

fn main() {}

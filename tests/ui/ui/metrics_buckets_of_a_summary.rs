use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    /// Sizes.
    #[metric(buckets(1))]
    size_bytes: Summary,
    /// Prices.
    #[metric(native)]
    price_euros: Summary,
    /// Weights.
    #[metric(quantiles(0.5))]
    weight_grams: Histogram,
}

fn main() {}

use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    /// Latency.
    #[metric(unit = "seconds")]
    latency: Summary,
    /// Bytes.
    #[metric(unit = "bytes")]
    sent_total: Counter,
    /// Items.
    #[metric(unit = "")]
    items_: Gauge,
}

fn main() {}

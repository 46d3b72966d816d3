use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    /// Items.
    items: Gauge,
    /// Items too.
    #[metric(rename = "items")]
    other: Gauge,
}

fn main() {}

use metrics_core::*;

#[derive(Metrics)]
#[metrics(prefix = "my-shop")]
struct Shop {
    /// Items.
    #[metric(rename = "all items")]
    items: Gauge,
}

fn main() {}

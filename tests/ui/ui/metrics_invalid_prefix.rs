use metrics_core::*;

#[derive(Metrics)]
#[metrics(prefix = "my-shop")]
struct Shop {
    /// Items.
    #[metric(rename = "all items")]
    items: Gauge,
    /// More items.
    #[metric(rename = "shop:items")]
    more: Gauge,
    #[metric(flatten, prefix = "1st")]
    db: Db,
}

#[derive(Metrics)]
struct Db {}

fn main() {}

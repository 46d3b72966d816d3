use metrics_core::*;

#[metrics(prefix = "shop")]
struct Shop {
    /// Items in all baskets.
    #[metric(unit = "items")]
    basket_items: Gauge,
}

fn main() {}

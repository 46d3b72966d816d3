use metrics_core::Gauge;

#[metrics(prefix = "shop")]
struct Shop {
    #[metric(unit = "items")]
    basket_items: Gauge,
}

fn main() {}

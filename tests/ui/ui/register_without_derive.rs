use metrics_core::*;

struct Shop {
    /// Items in all baskets.
    basket_items: Gauge,
}

fn main() {
    let shop = Shop::register();
    let other = Shop::register_in(&Registry::new());
    let global = Shop::global();
}

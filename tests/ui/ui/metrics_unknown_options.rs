use metrics_core::*;

#[derive(Metrics)]
#[metrics(prefx = "shop")]
struct Shop {
    /// Items.
    #[metric(label(kind: &str), units = "items", max_series = 3)]
    items: Gauge,
    /// Other items.
    #[metric(max_series = 1, max_series = 2)]
    others: Gauge,
    /// More items.
    #[metric(allow(units))]
    more: Gauge,
}

fn main() {}

use metrics_core::*;

#[derive(Metrics)]
#[metrics(prefix = "shop")]
struct Shop {
    /// Requests.
    requests: Counter,
    /// Items.
    items_total: Gauge,
}

fn main() {}

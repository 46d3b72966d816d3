use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    /// Items.
    items: Gauge,
    /// Items too.
    #[metric(rename = "items")]
    other: Gauge,
    /// Connections.
    connections: Gauge,
    /// Connections so far.
    connections_total: Counter,
}

fn main() {}

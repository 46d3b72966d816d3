use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    /// Items.
    items: Gauge,
    /// Items under the same name.
    #[metric(rename = "items")]
    other: Gauge,
    /// Connections.
    connections: Gauge,
    /// Connections so far.
    connections_total: Counter,
}

fn main() {}

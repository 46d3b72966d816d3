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
    /// Connections since the start.
    connections_total: Counter,
}

fn main() {}

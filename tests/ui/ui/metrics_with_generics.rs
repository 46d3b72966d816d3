use metrics_core::*;

#[derive(Metrics)]
struct Shop<T> {
    /// Items.
    items: Gauge,
    other: T,
}

fn main() {}

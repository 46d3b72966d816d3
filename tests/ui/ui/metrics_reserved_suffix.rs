use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    /// Items.
    items_count: Gauge,
    /// About the build.
    build_info: Gauge,
}

fn main() {}

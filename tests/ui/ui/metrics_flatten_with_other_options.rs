use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    #[metric(flatten, rename = "database")]
    db: Db,
    /// Items.
    #[metric(prefix = "all")]
    items: Gauge,
}

#[derive(Metrics)]
struct Db {}

fn main() {}

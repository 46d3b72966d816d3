use metrics_core::*;

#[derive(Metrics)]
#[metrics(const_labels(zone = "eu"))]
struct Shop {
    /// A label like one of the struct.
    #[metric(labels(zone: &str))]
    items: Family<Gauge, 1>,
    /// A constant label like one of the struct.
    #[metric(const_labels(zone = "us"))]
    pages: Gauge,
    /// A label like a constant one.
    #[metric(labels(kind: &str), const_labels(kind = "all"))]
    baskets: Family<Gauge, 1>,
    #[metric(flatten, const_labels(zone = "us"))]
    db: Db,
}

#[derive(Metrics)]
struct Db {}

fn main() {}

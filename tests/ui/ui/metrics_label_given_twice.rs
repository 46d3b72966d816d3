use metrics_core::*;

#[derive(Metrics)]
#[metrics(const_labels(zone = "eu"))]
struct Shop {
    /// A label with the name of a constant label of the struct.
    #[metric(labels(zone: &str))]
    items: Family<Gauge, 1>,
    /// A constant label with the name of a constant label of the struct.
    #[metric(const_labels(zone = "us"))]
    pages: Gauge,
    /// A label with the name of a constant label of the field.
    #[metric(labels(kind: &str), const_labels(kind = "all"))]
    baskets: Family<Gauge, 1>,
    #[metric(flatten, const_labels(zone = "us"))]
    db: Db,
}

#[derive(Metrics)]
struct Db {}

fn main() {}

use facade::metrics::{Family, Gauge, LabelValue, Metrics, instrument};

#[instrument("/foo")]
fn route() {}

#[derive(LabelValue)]
enum Method {
    Get,
}

#[derive(Metrics)]
struct Shop {
    /// Items.
    #[metric(labels(path: &str))]
    items: Family<Gauge, 1>,
}

fn main() {
    route();
}

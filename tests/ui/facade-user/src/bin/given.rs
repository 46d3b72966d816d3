use facade::metrics::{Family, Gauge, LabelValue, Metrics, instrument};

#[instrument("/foo", crate = facade::metrics)]
fn route() {}

#[derive(LabelValue)]
#[label(crate = facade::metrics)]
enum Method {
    Get,
}

#[derive(Metrics)]
#[metrics(crate = facade::metrics)]
struct Shop {
    /// Items.
    #[metric(labels(method: Method))]
    items: Family<Gauge, 1>,
}

fn main() {
    route();
    Shop::register().items(Method::Get).inc();
}

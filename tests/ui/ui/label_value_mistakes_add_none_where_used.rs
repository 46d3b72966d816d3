use metrics_core::*;

#[derive(LabelValue)]
enum Method {
    Get,
    Other(String),
}

#[derive(LabelValue)]
struct Path(String);

#[derive(LabelValue)]
enum Kind {
    #[label(rename = 1, name = "other")]
    Other,
}

#[derive(Metrics)]
struct Shop {
    /// Requests.
    #[metric(labels(method: Method, path: Path, kind: Kind))]
    requests_total: Family<Counter, 3>,
}

#[instrument(path = path)]
fn route(path: Path) {}

fn main() {
    let path = Path("/foo".to_owned());
    Shop::register().requests_total(Method::Get, path, Kind::Other).inc();
    println!("{:?}", Method::VALUES);
}

use metrics_core::*;

#[derive(Metrics)]
#[metrics(prefix = "shop", global)]
struct Shop {
    /// Requests.
    #[metric(labels(path: &str), unit = "bytes")]
    requests_total: Family<Counter, 1>,
    #[metric(labels(kind: &str, kind: &str))]
    items: Family<Gauge, 2>,
    /// A field whose attribute does not parse.
    #[metric(max_series = "many")]
    pages: u64,
}

#[derive(Metrics)]
struct Tuple(Counter);

#[derive(Metrics)]
#[metrics(global)]
struct Generic<T> {
    /// Items.
    items: T,
}

fn main() {
    Shop::register().requests_total("/foo").inc();
    Shop::global().items("a", "b").inc();
    let _ = Tuple::register_in(&Registry::new());
    let _ = Generic::<Gauge>::register();
}

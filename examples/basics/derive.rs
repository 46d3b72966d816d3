//! Custom metrics, declared with a derive macro and updated by an annotated function. Series with known label values
//! are exported before their first use.
//!
//! `cargo run --release --example derive`

use metrics_core::{Counter, Family, Gauge, LabelValue, Metrics, Registry, Summary, instrument};

#[derive(Clone, Copy, LabelValue)]
#[label(rename_all = "UPPERCASE")]
enum Method {
    Get,
    Post,
}

#[derive(Metrics)]
#[metrics(prefix = "shop", global)]
struct ShopMetrics {
    /// Latency of requests to the shop.
    #[metric(labels(path: &str, method: Method))]
    request_latency_seconds: Family<Summary, 2>,
    /// Requests to the shop that failed.
    #[metric(labels(path: &str, method: Method))]
    request_exceptions_total: Family<Counter, 2>,
    /// Logins, by method.
    #[metric(labels(method: Method, successful: bool))]
    logins_total: Family<Counter, 2>,
    /// Items in all baskets.
    basket_items: Gauge,
}

struct Request {
    path: &'static str,
    method: Method,
}

#[instrument(path = request.path, method = request.method,
             latency = ShopMetrics::global().request_latency_seconds,
             exceptions = ShopMetrics::global().request_exceptions_total)]
fn route(request: &Request) -> Result<&'static str, &'static str> {
    match (request.path, request.method) {
        ("/basket", Method::Post) => {
            ShopMetrics::global().basket_items.inc();
            Ok("added")
        }
        ("/basket", Method::Get) => Ok("a basket"),
        ("/login", method) => {
            ShopMetrics::global().logins_total(method, true).inc();
            Ok("hello")
        }
        _ => Err("page not found"),
    }
}

fn main() {
    for (path, method) in
        [("/basket", Method::Post), ("/basket", Method::Get), ("/login", Method::Post), ("/nowhere", Method::Get)]
    {
        match route(&Request { path, method }) {
            Ok(answer) => println!("{path}: {answer}"),
            Err(error) => println!("{path}: error: {error}"),
        }
    }
    print!("{}", Registry::global().to_text());
}

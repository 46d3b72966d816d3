//! A shop that generates its own traffic. It serves a live page, and writes a Grafana dashboard and Prometheus rules
//! that are generated from its metrics.
//!
//! `cargo run --release --package metrics-examples --example observe`
//!
//! Open the printed page. The files for Grafana and Prometheus are written to `target/observe`. `compose.yaml` starts
//! both with these files. The optional arguments are the address to listen on and the directory for the files.

use std::error::Error;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use axum::body::{Body, to_bytes};
use axum::extract::Path;
use axum::http::{Request, StatusCode};
use axum::routing::{get, post};
use axum::{Router, response::IntoResponse};
use lazy_static::lazy_static;
use metrics_core::{
    Counter, Family, Gauge, LabelValue, Registry, RequestMetrics, instrument, process_metrics, start_http_server,
};
use tower::ServiceExt;

/// The routes, exactly as the router declares them.
const ROUTES: [(&str, &str); 3] = [("GET", "/products/{id}"), ("POST", "/cart"), ("POST", "/checkout")];

lazy_static! {
    static ref SOLD: Family<Counter, 1> =
        Counter::builder("shop_products_sold_total", "Products sold.").labels(["currency"]).register();
    static ref CATALOG: Gauge = Gauge::builder("shop_catalog_size_bytes", "Size of the product catalog.").register();
}

/// The reasons for a failed payment.
#[derive(Debug, LabelValue)]
enum PaymentError {
    Declined,
    Timeout,
}

/// Every seventh payment is declined, and every thirtieth takes too long.
#[instrument("/payment", kind, histogram, prefix = "payment")]
async fn pay(order: u64) -> Result<(), PaymentError> {
    tokio::time::sleep(Duration::from_millis(2 + order % 13)).await;
    if order.is_multiple_of(30) {
        tokio::time::sleep(Duration::from_millis(300)).await;
        return Err(PaymentError::Timeout);
    }
    if order.is_multiple_of(7) { Err(PaymentError::Declined) } else { Ok(()) }
}

async fn product(Path(id): Path<u64>) -> Result<String, StatusCode> {
    tokio::time::sleep(Duration::from_micros(500 + id % 1_500)).await;
    if id > 900 { Err(StatusCode::NOT_FOUND) } else { Ok(format!("product {id}\n")) }
}

async fn cart() -> &'static str {
    tokio::time::sleep(Duration::from_millis(5)).await;
    "added\n"
}

async fn checkout(order: String) -> impl IntoResponse {
    match pay(order.parse().unwrap_or(1)).await {
        Ok(()) => {
            SOLD.labels(["EUR"]).inc();
            (StatusCode::OK, "sold\n")
        }
        Err(PaymentError::Declined) => (StatusCode::PAYMENT_REQUIRED, "declined\n"),
        Err(PaymentError::Timeout) => (StatusCode::BAD_GATEWAY, "the bank did not answer\n"),
    }
}

fn app() -> Router {
    Router::new()
        .route("/products/{id}", get(product))
        .route("/cart", post(cart))
        .route("/checkout", post(checkout))
        .layer(RequestMetrics::builder("shop").histogram().known_routes(ROUTES).build())
}

/// Sends requests to the router until the program ends.
async fn traffic(app: Router) {
    for number in 1_u64.. {
        let request = match number % 10 {
            0 => Request::post("/checkout").body(Body::from((number / 10).to_string())),
            1 | 2 => Request::post("/cart").body(Body::empty()),
            _ => Request::get(format!("/products/{}", number * 37 % 1_000)).body(Body::empty()),
        };
        let Ok(request) = request else { continue };
        let app = app.clone();
        tokio::spawn(async move {
            // A client that does not read the response would count as canceled.
            let response = app.oneshot(request).await.into_response();
            to_bytes(response.into_body(), usize::MAX).await.is_ok()
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    process_metrics!();
    CATALOG.set(512 << 20);
    // All families must be declared before the files are written.
    lazy_static::initialize(&SOLD);
    let app = app();
    let mut arguments = env::args().skip(1);
    let server = start_http_server(arguments.next().unwrap_or_else(|| "127.0.0.1:9464".to_owned()).as_str())?;
    let mut addr = server.local_addr();
    if addr.ip().is_unspecified() {
        addr.set_ip(Ipv4Addr::LOCALHOST.into());
    }

    let dir = arguments.next().map_or_else(|| PathBuf::from("target/observe"), PathBuf::from);
    fs::create_dir_all(&dir)?;
    let registry = Registry::global();
    let rules = registry.prometheus_rules().availability(0.99).latency(0.25, 0.95).to_yaml()?;
    fs::write(dir.join("rules.yml"), rules)?;
    fs::write(dir.join("dashboard.json"), registry.grafana_dashboard().title("Shop").to_json())?;

    println!("Live page: http://{addr}/");
    println!("Metrics:   http://{addr}/metrics");
    println!("Files:     {0}/dashboard.json, {0}/rules.yml", dir.display());
    traffic(app).await;
    Ok(())
}

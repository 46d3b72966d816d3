//! An axum service that measures every route with one line and exposes its metrics with another.
//!
//! `cargo run --release --package metrics-examples --example axum -- 127.0.0.1:8080`

use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};
use metrics_core::{Exposition, RequestMetrics};
use tokio::net::TcpListener;

/// The service's routes, exactly as the router declares them.
const ROUTES: [(&str, &str); 2] = [("GET", "/users/{id}"), ("POST", "/orders")];

async fn user(Path(id): Path<u32>) -> Result<String, StatusCode> {
    if id > 1_000 { Err(StatusCode::NOT_FOUND) } else { Ok(format!("user {id}\n")) }
}

async fn order() -> Result<&'static str, StatusCode> {
    tokio::time::sleep(Duration::from_millis(20)).await;
    Err(StatusCode::SERVICE_UNAVAILABLE)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app = Router::new()
        .route("/users/{id}", get(user))
        .route("/orders", post(order))
        // 1. Serves the metrics of the whole process, in the format that the scraper requests.
        .route_service("/metrics", Exposition::new())
        // 2. Records the count, latency, errors and in-flight requests of each route above. This layer must come last.
        //    The series of known routes start at 0, so that rates include the first requests.
        .layer(RequestMetrics::builder("shop").known_routes(ROUTES).build());

    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(&addr).await?;
    let addr = listener.local_addr()?;
    println!("Service:  http://{addr}/users/7");
    println!("Metrics:  http://{addr}/metrics");
    axum::serve(listener, app).await
}

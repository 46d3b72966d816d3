//! An actix-web service that measures every route with one line and exposes its metrics with another.
//!
//! `cargo run --release --package metrics-examples --example actix -- 127.0.0.1:8080`

use std::time::Duration;

use actix_web::error::ErrorServiceUnavailable;
use actix_web::{App, HttpResponse, HttpServer, Responder, Result, web};
use metrics_core::{Exposition, RequestMetrics};

/// The routes of the service, exactly as they are declared below.
const ROUTES: [(&str, &str); 2] = [("GET", "/users/{id}"), ("POST", "/orders")];

async fn user(id: web::Path<u32>) -> impl Responder {
    if *id > 1_000 { HttpResponse::NotFound().finish() } else { HttpResponse::Ok().body(format!("user {id}\n")) }
}

async fn order() -> Result<&'static str> {
    actix_web::rt::time::sleep(Duration::from_millis(20)).await;
    Err(ErrorServiceUnavailable("no orders today"))
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    // Created once and shared by all workers.
    let exposition = Exposition::new();
    let request_metrics = RequestMetrics::builder("shop").known_routes(ROUTES).build();

    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let server = HttpServer::new(move || {
        App::new()
            .route("/users/{id}", web::get().to(user))
            .route("/orders", web::post().to(order))
            // 1. Serves the metrics of the whole process, in the format that the scraper requests.
            .service(exposition.resource("/metrics"))
            // 2. Records the count, latency, errors and in-flight requests of each route. The series of known routes
            //    start at 0, so that rates include the first requests.
            .wrap(request_metrics.clone())
    })
    .bind(addr)?;
    let addr = server.addrs()[0];
    println!("Service:  http://{addr}/users/7");
    println!("Metrics:  http://{addr}/metrics");
    server.run().await
}

//! A gRPC service by tonic: every method measured by one layer, its metrics on a port of their own.
//!
//! `cargo run --release --package metrics-examples --example tonic -- 127.0.0.1:50051 127.0.0.1:9464`

use metrics_core::{RequestMetrics, start_http_server};
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::server::health_reporter;

/// The methods of the service, as gRPC calls them.
const METHODS: [(&str, &str); 2] = [("POST", "/grpc.health.v1.Health/Check"), ("POST", "/grpc.health.v1.Health/Watch")];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let addr = args.next().unwrap_or_else(|| "127.0.0.1:50051".to_owned());
    // 1. The metrics of the whole process, from a thread of their own.
    let metrics = start_http_server(args.next().unwrap_or_else(|| "127.0.0.1:9464".to_owned()))?;

    // A service that comes with tonic; yours is added in the same way.
    let (_reporter, health) = health_reporter();
    let listener = TcpListener::bind(&addr).await?;
    println!("The service:  http://{} (gRPC)", listener.local_addr()?);
    println!("Its metrics:  http://{}/metrics", metrics.local_addr());
    Server::builder()
        // 2. Count, latency, errors and calls in flight of each method. A status by which the server is at fault, in the
        //    trailers too, is an exception.
        .layer(RequestMetrics::builder("health").known_routes(METHODS).build())
        .add_service(health)
        .serve_with_incoming(TcpIncoming::from(listener))
        .await?;
    Ok(())
}

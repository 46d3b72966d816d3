//! A tonic gRPC service that measures every method with one layer and serves its metrics on a separate port.
//!
//! `cargo run --release --package metrics-examples --example tonic -- 127.0.0.1:50051 127.0.0.1:9464`

use metrics_core::{RequestMetrics, start_http_server};
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::server::health_reporter;

/// The service's RPCs, each as an HTTP method and a gRPC path.
const METHODS: [(&str, &str); 2] = [("POST", "/grpc.health.v1.Health/Check"), ("POST", "/grpc.health.v1.Health/Watch")];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let addr = args.next().unwrap_or_else(|| "127.0.0.1:50051".to_owned());
    // 1. Serves the metrics of the whole process from a dedicated thread.
    let metrics = start_http_server(args.next().unwrap_or_else(|| "127.0.0.1:9464".to_owned()))?;

    // The health service from `tonic-health`. Add your services in the same way.
    let (_reporter, health) = health_reporter();
    let listener = TcpListener::bind(&addr).await?;
    println!("Service:  http://{} (gRPC)", listener.local_addr()?);
    println!("Metrics:  http://{}/metrics", metrics.local_addr());
    Server::builder()
        // 2. Records the count, latency, errors and in-flight calls of each method. A gRPC status that indicates a
        //    server error counts as an exception, even if the status arrives in the trailers.
        .layer(RequestMetrics::builder("health").known_routes(METHODS).build())
        .add_service(health)
        .serve_with_incoming(TcpIncoming::from(listener))
        .await?;
    Ok(())
}

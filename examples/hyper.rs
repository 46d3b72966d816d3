//! A plain hyper service that measures requests with a tower layer and serves its metrics under `/metrics`.
//!
//! `cargo run --release --package metrics-examples --example hyper -- 127.0.0.1:8080`

use std::convert::Infallible;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use metrics_core::{Exposition, RequestMetrics};
use tokio::net::TcpListener;
use tower::{Layer, service_fn};

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

async fn route(request: Request<Incoming>, exposition: Exposition) -> Result<Response<Body>, Infallible> {
    let (status, text) = match request.uri().path() {
        // 1. Serves the metrics of the whole process, in the format that the scraper requests.
        "/metrics" => return Ok(exposition.respond(&request).await.map(BodyExt::boxed_unsync)),
        "/hello" => (StatusCode::OK, "hello\n"),
        "/fail" => (StatusCode::INTERNAL_SERVER_ERROR, "the database is gone\n"),
        _ => (StatusCode::NOT_FOUND, "not found\n"),
    };
    let mut response = Response::new(Full::from(text).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    Ok(response)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let exposition = Exposition::new();
    // 2. Records the count, latency, errors and in-flight requests of each known route. Hyper has no router, so only
    //    these paths become label values. Their series start at 0. Any other path counts as `other`.
    let request_metrics = RequestMetrics::builder("shop").known_routes([("GET", "/hello"), ("GET", "/fail")]).build();
    let service = request_metrics.layer(service_fn(move |request| route(request, exposition.clone())));

    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(&addr).await?;
    let addr = listener.local_addr()?;
    println!("Service:  http://{addr}/hello");
    println!("Metrics:  http://{addr}/metrics");
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

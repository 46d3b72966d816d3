//! A service that exposes its metrics to Prometheus, pushes them to Graphite, and flushes them when it shuts down.
//!
//! `cargo run --release --package metrics-examples --example graphite -- 127.0.0.1:8080 127.0.0.1:9464 127.0.0.1:2003`

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, Uri};
use lazy_static::lazy_static;
use metrics_core::{GraphiteBridge, instrument, process_metrics, start_http_server};
use tokio::net::TcpListener;

type Handler = fn() -> Result<&'static str, RouteError>;

/// The reason a request failed.
struct RouteError(&'static str);

lazy_static! {
    static ref HANDLERS: BTreeMap<&'static str, Handler> = BTreeMap::from([
        ("/foo", (|| Ok("foo\n")) as Handler),
        ("/bar", || Ok("bar\n")),
        ("/fail", || Err(RouteError("the database is gone\n"))),
    ]);
}

/// The choke point. The series for handler paths are exported before their first request. Any other path counts
/// as `other`.
#[instrument(path in HANDLERS.keys(), prefix = "my_router")]
fn route_request(path: &str) -> Result<Option<&'static str>, RouteError> {
    HANDLERS.get(path).map(|handler| handler()).transpose()
}

async fn answer(uri: Uri) -> (StatusCode, &'static str) {
    match route_request(uri.path()) {
        Ok(Some(body)) => (StatusCode::OK, body),
        Ok(None) => (StatusCode::NOT_FOUND, "not found\n"),
        Err(RouteError(why)) => (StatusCode::INTERNAL_SERVER_ERROR, why),
    }
}

/// Waits for Ctrl-C or, on Unix, SIGTERM.
async fn ended() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    tokio::signal::ctrl_c().await.ok();
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let mut args = std::env::args().skip(1);
    let mut next = |default: &str| args.next().unwrap_or_else(|| default.to_owned());
    let (listen, metrics, carbon) = (next("127.0.0.1:8080"), next("127.0.0.1:9464"), next("127.0.0.1:2003"));

    // Exports CPU, memory, open-file and build-info metrics for this process.
    process_metrics!();
    // Prometheus scrapes this endpoint.
    let metrics = start_http_server(metrics.as_str())?;
    // Pushes everything to Graphite every ten seconds. Carbon does not have to be running yet.
    let pusher = GraphiteBridge::new(&carbon).prefix("shop.router").start(Duration::from_secs(10))?;

    let listener = TcpListener::bind(&listen).await?;
    println!("Service:  http://{}/foo (and /bar, /fail)", listener.local_addr()?);
    println!("Metrics:  http://{}/metrics, pushed to {carbon} every 10 seconds", metrics.local_addr());
    axum::serve(listener, Router::new().fallback(answer)).with_graceful_shutdown(ended()).await?;

    // Pushes one last time to include updates since the previous push. Blocks for at most ten seconds.
    match tokio::task::spawn_blocking(move || pusher.shutdown()).await? {
        Ok(()) => println!("All metrics were pushed to {carbon}."),
        Err(error) => eprintln!("Could not push all metrics to {carbon}: {error}"),
    }
    Ok(())
}

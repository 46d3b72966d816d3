//! A service whose metrics go to Graphite as well as to Prometheus, and are sent once more when it ends.
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

/// Why there is no answer.
struct RouteError(&'static str);

lazy_static! {
    static ref HANDLERS: BTreeMap<&'static str, Handler> = BTreeMap::from([
        ("/foo", (|| Ok("foo\n")) as Handler),
        ("/bar", || Ok("bar\n")),
        ("/fail", || Err(RouteError("the database is gone\n"))),
    ]);
}

/// The choke point. Each handler's path is a series from the start; any other path counts as `other`.
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

/// Waits for Ctrl-C or, where there is such a thing, SIGTERM.
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

    // CPU, memory and files of the process, and what was built.
    process_metrics!();
    // For Prometheus, which fetches.
    let metrics = start_http_server(metrics.as_str())?;
    // For Graphite, which is sent everything every ten seconds. That carbon is not there yet is no error.
    let pusher = GraphiteBridge::new(&carbon).prefix("shop.router").start(Duration::from_secs(10))?;

    let listener = TcpListener::bind(&listen).await?;
    println!("The service:  http://{}/foo (and /bar, /fail)", listener.local_addr()?);
    println!("Its metrics:  http://{}/metrics, and every 10 seconds in {carbon}", metrics.local_addr());
    axum::serve(listener, Router::new().fallback(answer)).with_graceful_shutdown(ended()).await?;

    // What came since the last push is sent too. It blocks, for ten seconds at most.
    match tokio::task::spawn_blocking(move || pusher.shutdown()).await? {
        Ok(()) => println!("Everything is in {carbon}."),
        Err(error) => eprintln!("Not everything is in {carbon}: {error}"),
    }
    Ok(())
}

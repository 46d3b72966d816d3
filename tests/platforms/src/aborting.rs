//! A program with `panic = "abort"` that exposes its metrics before its list of label values is set.
//!
//! The list must not be evaluated before the annotated function is called.

use std::sync::OnceLock;

use metrics_core::{Exposition, Registry, instrument, start_http_server};

static ROUTES: OnceLock<Vec<String>> = OnceLock::new();

#[instrument(path in ROUTES.get().expect("the routes are set"), prefix = "aborting")]
fn by_route(path: &str) -> usize {
    path.len()
}

fn main() -> std::io::Result<()> {
    if cfg!(not(panic = "abort")) {
        return Err(std::io::Error::other("run it with `--profile aborting`"));
    }
    metrics_core::init();
    let server = start_http_server("127.0.0.1:0")?;
    let _exposition = Exposition::new();
    let _problems = Registry::global().check();
    let _text = Registry::global().to_text();
    ROUTES.set(vec!["/a".to_owned()]).map_err(|_| std::io::Error::other("set twice"))?;
    by_route("/a");
    let text = Registry::global().to_text();
    assert!(text.contains("\naborting_request_latency_seconds_count{path=\"/a\"} 1\n"), "{text}");
    server.shutdown();
    Ok(())
}

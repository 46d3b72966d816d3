//! A manually instrumented router: a line-by-line translation of the Python client's introductory example.
//!
//! `cargo run --release --example by_hand -- 127.0.0.1:9464`

use std::collections::HashMap;
use std::io::{self, BufRead};

use lazy_static::lazy_static;
use metrics_core::{Counter, Family, Summary, start_http_server};

struct Request {
    path: String,
}

type Handler = fn(&Request) -> Result<String, String>;

lazy_static! {
    static ref HANDLERS: HashMap<&'static str, Handler> =
        HashMap::from([("/foo", some_function as Handler), ("/bar", other_function)]);

    // REQUEST_DURATION = Summary('my_router_request_latency_seconds', .., ['path'])
    static ref REQUEST_DURATION: Family<Summary, 1> =
        Summary::builder("my_router_request_latency_seconds", "Latency of request router handlers.")
            .labels(["path"])
            .register();

    // REQUEST_EXCEPTIONS = Counter('my_router_request_exceptions_total', .., ['path'])
    static ref REQUEST_EXCEPTIONS: Family<Counter, 1> =
        Counter::builder("my_router_request_exceptions_total", "Exceptions thrown in request router handlers.")
            .labels(["path"])
            .register();
}

#[expect(clippy::unnecessary_wraps, reason = "handlers can fail")]
fn some_function(_: &Request) -> Result<String, String> {
    Ok("foo".to_owned())
}

fn other_function(_: &Request) -> Result<String, String> {
    Err("bar is broken".to_owned())
}

fn route_request(request: &Request) -> Result<String, String> {
    let Some(handler) = HANDLERS.get(request.path.as_str()) else {
        return Ok("not found".to_owned());
    };
    // with REQUEST_DURATION.labels(request.path).time():
    REQUEST_DURATION.labels([&request.path]).time(|| {
        // with REQUEST_EXCEPTIONS.labels(request.path).count_exceptions():
        REQUEST_EXCEPTIONS.labels([&request.path]).count_exceptions(|| handler(request))
    })
}

fn main() -> io::Result<()> {
    // Create the series for every handler, so that they are exported before the first request.
    for path in HANDLERS.keys() {
        REQUEST_DURATION.labels([path]);
        REQUEST_EXCEPTIONS.labels([path]);
    }
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9464".to_owned());
    let server = start_http_server(addr.as_str())?;
    println!("Enter /foo or /bar. Metrics are served at http://{}/metrics", server.local_addr());
    for line in io::stdin().lock().lines() {
        match route_request(&Request { path: line?.trim().to_owned() }) {
            Ok(response) => println!("{response}"),
            Err(error) => println!("error: {error}"),
        }
    }
    Ok(())
}

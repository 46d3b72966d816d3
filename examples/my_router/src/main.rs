//! An HTTP service that measures request rate, errors and latency by path at one choke point, the router.
//!
//! `cargo run --release --package my_router -- --traffic`

mod traffic;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::panic::panic_any;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use lazy_static::lazy_static;
use metrics_core::{instrument, start_http_server};
use tokio::net::TcpListener;

use crate::traffic::Traffic;

const USAGE: &str = "\
A web server with an instrumented router.

Usage: my_router [--listen ADDR] [--metrics ADDR] [--traffic]

  --listen ADDR    address that serves /foo, /bar, /slow, /fail and /panic  [default: 127.0.0.1:8080]
  --metrics ADDR   address that serves /metrics                             [default: 127.0.0.1:9464]
  --traffic        send requests to the service until Ctrl-C
  --help           print this help
";

/// The part of a request that handlers receive.
struct Request {
    method: Method,
}

/// A handler's response.
struct Response {
    status: StatusCode,
    body: String,
}

/// The reason a request failed.
#[derive(Debug)]
struct RouteError(&'static str);

type Handler = fn(&Request) -> Result<Response, RouteError>;

lazy_static! {
    static ref HANDLERS: BTreeMap<&'static str, Handler> =
        BTreeMap::from([("/foo", foo as Handler), ("/bar", bar), ("/slow", slow), ("/fail", fail), ("/panic", panic),]);
}

/// The choke point. Each handler's path is exported at 0 from the start; all other paths count as `other`.
#[instrument(path in HANDLERS.keys())]
fn route_request(path: &str, request: &Request) -> Result<Response, RouteError> {
    let Some(handler) = HANDLERS.get(path) else {
        return Ok(not_found(path));
    };
    handler(request)
}

fn not_found(path: &str) -> Response {
    Response { status: StatusCode::NOT_FOUND, body: format!("{path} not found\n") }
}

fn foo(request: &Request) -> Result<Response, RouteError> {
    ok(&format!("foo, requested with {}", request.method))
}

fn bar(_: &Request) -> Result<Response, RouteError> {
    ok("bar")
}

fn slow(_: &Request) -> Result<Response, RouteError> {
    thread::sleep(Duration::from_millis(100));
    ok("slow, but done")
}

fn fail(_: &Request) -> Result<Response, RouteError> {
    Err(RouteError("the database is gone"))
}

const BUG: &str = "a bug in a handler";

#[expect(clippy::panic, reason = "this is the handler that panics")]
fn panic(_: &Request) -> Result<Response, RouteError> {
    panic_any(BUG);
}

#[expect(clippy::unnecessary_wraps, reason = "handlers can fail")]
fn ok(body: &str) -> Result<Response, RouteError> {
    Ok(Response { status: StatusCode::OK, body: format!("{body}\n") })
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Runs the router on a thread that may block, and turns errors and panics into status 500.
async fn answer(request: hyper::Request<Incoming>) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let request = Request { method: request.method().clone() };
    let routed = tokio::task::spawn_blocking(move || route_request(&path, &request)).await;
    let Response { status, body } = match routed {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => Response { status: StatusCode::INTERNAL_SERVER_ERROR, body: format!("{error}\n") },
        Err(_) => Response { status: StatusCode::INTERNAL_SERVER_ERROR, body: "a handler panicked\n".to_owned() },
    };
    let mut response = hyper::Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Ok(response)
}

async fn serve(listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // The process has probably run out of file descriptors. Wait before trying again.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        tokio::spawn(async move {
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
            // Ignore clients that disconnect.
            connection.await.ok();
        });
    }
}

struct Options {
    listen: String,
    metrics: String,
    traffic: bool,
}

/// Parses the command line. Returns `None` for `--help`.
fn options() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::{Long, ValueExt};

    let (listen, metrics) = ("127.0.0.1:8080".to_owned(), "127.0.0.1:9464".to_owned());
    let mut options = Options { listen, metrics, traffic: false };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("listen") => options.listen = parser.value()?.string()?,
            Long("metrics") => options.metrics = parser.value()?.string()?,
            Long("traffic") => options.traffic = true,
            Long("help") => return Ok(None),
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(Some(options))
}

async fn run(options: Options) -> io::Result<()> {
    let metrics = start_http_server(options.metrics.as_str())?;
    let listener = TcpListener::bind(&options.listen)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot serve on {}: {error}", options.listen)))?;
    let listen = listener.local_addr()?;
    let metrics = metrics.local_addr();
    println!("Service:  http://{listen}/foo (and /bar, /slow, /fail, /panic)");
    println!("Metrics:  http://{metrics}/metrics (live page: http://{metrics}/)");
    println!("Try:      curl http://{listen}/foo; curl -s http://{metrics}/metrics | grep my_router");
    tokio::spawn(serve(listener));
    let traffic = options.traffic.then(|| Traffic::start(listen));
    let ended = tokio::signal::ctrl_c().await;
    if let Some(traffic) = traffic {
        traffic.stop();
    }
    ended
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprint!("{error}\n\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(run(options)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

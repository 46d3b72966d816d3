//! The HTTP server for `/metrics`, on a thread of its own.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, Semaphore};

use crate::encode::Format;
use crate::registry::{ProblemKind, Registry};

const PATH: &str = "/metrics";
/// Connections that are served at once; more wait in the system's queue.
const MAX_CONNECTIONS: usize = 128;
/// A client that does not send its request's head for this long is disconnected.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a shutdown waits for responses that are being sent.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after a connection could not be accepted, since the cause (no file descriptor left) may last.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the global registry under `/metrics`, from a thread of its own.
///
/// The server goes on when the handle is dropped; to end it, call [`HttpServer::shutdown`]. Port 0 takes a free one,
/// which [`HttpServer::local_addr`] tells.
///
/// # Errors
///
/// Where the address cannot be resolved, or cannot be listened on, which error names it; or where the system has no
/// thread left.
///
/// # Example: exposing everything
///
/// ```
/// use metrics_core::start_http_server;
///
/// let server = start_http_server("127.0.0.1:0")?;
/// println!("http://{}/metrics", server.local_addr());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn start_http_server(addr: impl ToSocketAddrs) -> io::Result<HttpServer> {
    HttpServer::builder().start(addr)
}

/// A running HTTP server. Dropping it leaves the server running.
pub struct HttpServer {
    local_addr: SocketAddr,
    stop: Arc<Notify>,
    thread: JoinHandle<()>,
}

impl HttpServer {
    /// Options beyond those of [`start_http_server`].
    pub fn builder() -> HttpServerBuilder {
        HttpServerBuilder { registry: None, strict: false }
    }

    /// The address it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Ends the server: takes no more connections, lets running responses end (for up to 5 seconds), and returns when
    /// its thread has ended and its port is free.
    pub fn shutdown(self) {
        self.stop.notify_one();
        if self.thread.join().is_err() {
            log::error!("the thread of the metrics server had panicked");
        }
    }
}

impl fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServer").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

/// Options of an HTTP server.
#[derive(Clone, Debug)]
#[must_use = "the server starts when `start` is called"]
pub struct HttpServerBuilder {
    registry: Option<Registry>,
    strict: bool,
}

impl HttpServerBuilder {
    /// The registry to serve, if not the global one.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = Some(registry.clone());
        self
    }

    /// Whether the server refuses to start where [`Registry::check`] reports a problem other than of style.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Starts the server; see [`start_http_server`].
    ///
    /// # Errors
    ///
    /// As [`start_http_server`]. With [`HttpServerBuilder::strict`] also where something was declared wrongly; the error
    /// lists it all.
    pub fn start(self, addr: impl ToSocketAddrs) -> io::Result<HttpServer> {
        let registry = self.registry.unwrap_or_else(|| Registry::global().clone());
        if self.strict {
            refuse_problems(&registry)?;
        }
        let listener = bind(addr)?;
        listener.set_nonblocking(true)?;
        let local_addr = listener.local_addr()?;
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let (ready, started) = mpsc::channel();
        // The runtime lives and ends on that thread: the caller may be inside of another one, where it could not end.
        let thread = thread::Builder::new().name("metrics-http".to_owned()).spawn(move || {
            let (runtime, listener) = match enter(listener) {
                Ok(entered) => entered,
                Err(error) => return drop(ready.send(Err(error))),
            };
            drop(ready.send(Ok(())));
            serve(&runtime, listener, &registry, &stopped);
            // A collector that does not come back must not keep the server from ending.
            runtime.shutdown_background();
        })?;
        started.recv().map_err(io::Error::other)??;
        Ok(HttpServer { local_addr, stop, thread })
    }
}

/// A runtime for this thread, and the listener in it.
fn enter(listener: std::net::TcpListener) -> io::Result<(Runtime, TcpListener)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let listener = {
        let _context = runtime.enter();
        TcpListener::from_std(listener)?
    };
    Ok((runtime, listener))
}

fn refuse_problems(registry: &Registry) -> io::Result<()> {
    let problems: Vec<String> = registry
        .check()
        .iter()
        .filter(|problem| !matches!(problem.kind, ProblemKind::Style(_)))
        .map(ToString::to_string)
        .collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, problems.join("\n")))
}

/// Listens on the first address that can be had.
fn bind(addr: impl ToSocketAddrs) -> io::Result<std::net::TcpListener> {
    let addrs: Vec<SocketAddr> = addr.to_socket_addrs()?.collect();
    std::net::TcpListener::bind(addrs.as_slice()).map_err(|error| {
        let addrs: Vec<String> = addrs.iter().map(ToString::to_string).collect();
        io::Error::new(error.kind(), format!("cannot serve metrics on {}: {error}", addrs.join(", ")))
    })
}

fn serve(runtime: &Runtime, listener: TcpListener, registry: &Registry, stop: &Notify) {
    runtime.block_on(async {
        let connections = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut stopped = pin!(stop.notified());
        while let Some(accepted) = unless(stopped.as_mut(), next_connection(&listener, &places)).await {
            let (stream, place) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    log::warn!("cannot accept a scrape: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let registry = registry.clone();
            let service = service_fn(move |request| answer(request, registry.clone()));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            let connection = connections.watch(connection);
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    log::debug!("a scrape was cut off: {error}");
                }
                drop(place);
            });
        }
        drop(listener);
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, connections.shutdown()).await.is_err() {
            log::warn!("scrapes were still running when the metrics server ended");
        }
    });
}

/// The output of `future`, or `None` once `stopped` is done.
async fn unless<F: Future>(mut stopped: impl Future + Unpin, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match pin!(&mut stopped).poll(cx) {
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending => future.as_mut().poll(cx).map(Some),
    })
    .await
}

async fn next_connection(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

async fn answer(request: Request<Incoming>, registry: Registry) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() != PATH {
        return Ok(plain(StatusCode::NOT_FOUND, "The metrics are under /metrics.\n"));
    }
    let is_head = request.method() == Method::HEAD;
    if !is_head && request.method() != Method::GET {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Use GET or HEAD.\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(response);
    }
    let mut response = Response::new(Full::default());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(Format::Text.content_type()));
    if is_head {
        return Ok(response);
    }
    // Collectors may be slow, and other connections must not wait for them.
    let scrape = tokio::task::spawn_blocking(move || {
        let mut out = Vec::new();
        registry.encode(Format::Text, &mut out);
        out
    });
    match scrape.await {
        Ok(out) => *response.body_mut() = Full::from(out),
        Err(error) => {
            log::error!("a scrape ended early: {error}");
            response = plain(StatusCode::INTERNAL_SERVER_ERROR, "The scrape failed.\n");
        }
    }
    Ok(response)
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

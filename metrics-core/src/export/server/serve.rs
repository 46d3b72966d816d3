//! The server thread's event loop, which accepts connections and serves their requests.

use std::convert::Infallible;
use std::fmt;
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{AUTHORIZATION, HOST};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use log::Level;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::connection::Phase;
use super::connections::{self, Connection, Connections};
use super::error::ServeError;
use super::host;
use super::stream::{Flushed, IoStream, Observed};
use crate::export::http::exposition::{Exposition, ScrapeResponse};
use crate::export::http::live::LivePage;
use crate::export::http::response::ExpositionBody;
use crate::lock::lock;
use crate::logging::{LoggingThread, log};

const PATH: &str = "/metrics";
/// The response to a request for the live page that a website may have caused.
const FOREIGN_HOST: &str = "\
    Requests to a loopback address must have the host `localhost`, `127.0.0.1` or `[::1]`. \
    If a proxy forwards them, configure it to set the `Host` header to `localhost`.\n";
/// The maximum size of a request head, and of a connection's write buffer, in bytes.
const MAX_BUFFER: usize = 64 << 10;
/// The maximum time to wait for responses in flight during shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after a failed `accept` if no connection can be closed. It avoids a busy loop if the cause persists.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The interval between checks for connections that exceed a timeout.
const SWEEP: Duration = Duration::from_secs(1);

/// The credentials that the server requires. This is a trait because the implementation needs the `auth` feature.
pub(crate) trait Admission: fmt::Debug + Send + Sync {
    /// Returns an error if the credentials are invalid.
    fn check(&self) -> Result<(), ServeError>;

    /// Returns true if this `Authorization` header value contains the required credentials.
    fn allows(&self, authorization: Option<&[u8]>) -> bool;

    /// Returns the `WWW-Authenticate` header value for a response with status 401.
    fn challenge(&self) -> &'static str;
}

/// The TLS configuration of a server. This is a trait because the implementation needs the `tls` feature.
pub(crate) trait Secure: fmt::Debug + Send + Sync {
    fn acceptor(&self) -> Result<Arc<dyn Accept>, ServeError>;
}

/// Performs the TLS handshake on a stream.
pub(crate) trait Accept: Send + Sync {
    fn accept(&self, stream: Box<dyn IoStream>) -> Accepting;
}

/// A TLS handshake in progress.
pub(crate) type Accepting = Pin<Box<dyn Future<Output = io::Result<Box<dyn IoStream>>> + Send>>;

/// The state shared by all connections of a server.
pub(super) struct Serving {
    exposition: Exposition,
    live_page: Option<LivePage>,
    connections: Arc<Connections>,
    secure: Option<Arc<dyn Accept>>,
    admission: Option<Arc<dyn Admission>>,
    reserve: Reserve,
    has_warned: AtomicBool,
}

impl Serving {
    pub(super) fn new(
        exposition: Exposition,
        live_page: Option<LivePage>,
        max_connections: usize,
        secure: Option<Arc<dyn Accept>>,
        admission: Option<Arc<dyn Admission>>,
    ) -> Self {
        let connections = Connections::new(max_connections);
        let reserve = Reserve::default();
        Self { exposition, live_page, connections, secure, admission, reserve, has_warned: AtomicBool::new(false) }
    }

    /// Responds to a request after checking its credentials.
    async fn answer(&self, request: &Request<Incoming>, is_loopback: bool) -> Response<ExpositionBody> {
        if let Some(admission) = &self.admission
            && !admission.allows(request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes))
        {
            let mut answer = ScrapeResponse::text(401, "Invalid credentials.\n");
            answer.headers.push(("www-authenticate", admission.challenge()));
            return answer.into_response();
        }
        match &self.live_page {
            _ if is_scrape(request) => self.exposition.respond(request).await,
            Some(live_page) if request.uri().path() == "/" => {
                if is_loopback && !host::is_local(request.headers().get(HOST).map(HeaderValue::as_bytes)) {
                    return ScrapeResponse::text(403, FOREIGN_HOST).into_response();
                }
                live_page.respond(request).await
            }
            _ => ScrapeResponse::text(404, "Not found; metrics are served at /metrics.\n").into_response(),
        }
    }

    /// Logs a failed connection. Only the first failure is logged as a warning, because a client can cause any number
    /// of failures.
    fn failed(&self, what: &str, error: &dyn fmt::Display) {
        if self.has_warned.swap(true, Ordering::Relaxed) {
            log(Level::Debug, format_args!("{what}: {error}"));
        } else {
            log(Level::Warn, format_args!("{what}: {error} (further failures are logged at level debug)"));
        }
    }
}

/// Accepts and serves connections until `stop` is notified.
pub(super) async fn serve(mut listener: TcpListener, serving: Arc<Serving>, stop: Arc<Notify>) {
    LoggingThread::Other.set();
    let requests = GracefulShutdown::new();
    let swept = Arc::clone(&serving);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(SWEEP).await;
            swept.connections.sweep();
        }
    });
    serving.reserve.restore();
    // If the process has run out of file descriptors, `accept` fails even if no client is waiting. A listener that was
    // just registered with the runtime calls `accept` only once a client is waiting. The server therefore re-registers
    // the listener after the first failure, and closes a connection only after a second one.
    let mut is_asked_in_vain = false;
    let mut stopped = pin!(stop.notified());
    while let Some(accepted) = until(stopped.as_mut(), listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                is_asked_in_vain = false;
                accept(stream, &serving, &requests);
                // Accept a few more connections now, because all scrapes that are being encoded may be polled before
                // the next iteration.
                for _ in 1..serving.connections.accepted_at_once() {
                    let next = poll_fn(|cx| match listener.poll_accept(cx) {
                        Poll::Ready(Ok((stream, _))) => Poll::Ready(Some(stream)),
                        Poll::Ready(Err(_)) | Poll::Pending => Poll::Ready(None),
                    });
                    let Some(stream) = next.await else { break };
                    accept(stream, &serving, &requests);
                }
            }
            Err(error) if is_of_client(&error) => serving.failed("cannot accept a connection", &error),
            Err(_) if !is_asked_in_vain => {
                is_asked_in_vain = true;
                listener = match listener.into_std().and_then(TcpListener::from_std) {
                    Ok(listener) => listener,
                    Err(error) => {
                        log(Level::Error, format_args!("the metrics server stops; `accept` failed: {error}"));
                        return finish(&serving, requests).await;
                    }
                };
            }
            Err(error) => {
                serving.failed("cannot accept a connection", &error);
                if !serving.connections.make_room() && !serving.reserve.release() {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // Before more connections are accepted, let evicted connections release their descriptors and let new
        // connections read their requests. Otherwise, in a flood of connections, a scrape would be evicted before its
        // request is read.
        tokio::task::yield_now().await;
    }
    drop(listener);
    finish(&serving, requests).await;
}

/// Closes connections that have not sent a request, and waits for responses in flight.
async fn finish(serving: &Serving, requests: GracefulShutdown) {
    // The program may exit as soon as the server has shut down, before another thread could log.
    LoggingThread::Current.set();
    serving.connections.close_new();
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, requests.shutdown()).await.is_err() {
        log(Level::Warn, format_args!("the metrics server was shut down while scrapes were in flight"));
    }
}

/// Spawns a task that serves a connection, if there is room for it.
fn accept(stream: TcpStream, serving: &Arc<Serving>, requests: &GracefulShutdown) {
    if let Some(connection) = serving.connections.open() {
        tokio::spawn(connected(stream, Arc::new(connection), Arc::clone(serving), requests.watcher()));
    }
}

/// A file descriptor held in reserve for a scrape, in case the rest of the program uses up all the others.
///
/// The server releases the descriptor so that `accept` can use it, and reopens it when a connection ends. Each time,
/// the rest of the program has a short window in which to take the descriptor instead.
#[derive(Default)]
struct Reserve(Mutex<Option<File>>);

impl Reserve {
    /// Opens the descriptor if it is not open.
    fn restore(&self) {
        let mut file = lock(&self.0);
        if cfg!(unix) && file.is_none() {
            *file = File::open("/dev/null").ok();
        }
    }

    /// Closes the descriptor so that `accept` can use it. Returns false if it was not open.
    fn release(&self) -> bool {
        lock(&self.0).take().is_some()
    }
}

/// Returns true if the error affects a single client and others can still be accepted.
fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, PermissionDenied};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | PermissionDenied)
}

/// Returns the output of `future`, or `None` once `stopped` completes.
async fn until<F: Future>(stopped: impl Future, future: F) -> Option<F::Output> {
    let (mut stopped, mut future) = (pin!(stopped), pin!(future));
    poll_fn(|cx| match stopped.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending => future.as_mut().poll(cx).map(Some),
    })
    .await
}

/// Serves a connection until the client or the server closes it.
async fn connected(stream: TcpStream, connection: Arc<Connection>, serving: Arc<Serving>, requests: Watcher) {
    // The last bytes of a response must not wait for the client to acknowledge the previous ones.
    stream.set_nodelay(true).ok();
    let is_loopback = stream.local_addr().is_ok_and(|addr| addr.ip().to_canonical().is_loopback());
    let stream = Observed { stream, connection: Arc::clone(&connection) };
    let served = async {
        match &serving.secure {
            None => serve_stream(stream, is_loopback, &connection, &serving, requests).await,
            Some(secure) => match secure.accept(Box::new(stream)).await {
                Ok(stream) => serve_stream(stream, is_loopback, &connection, &serving, requests).await,
                Err(error) => {
                    connections::closed("handshake");
                    serving.failed("a TLS handshake failed", &error);
                }
            },
        }
    };
    until(connection.closed(), served).await;
    serving.reserve.restore();
}

async fn serve_stream(
    stream: impl IoStream + 'static,
    is_loopback: bool,
    connection: &Arc<Connection>,
    serving: &Arc<Serving>,
    requests: Watcher,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let (connection, serving) = (Arc::clone(connection), Arc::clone(serving));
        async move {
            connection.begins();
            let response = if connection.is_refusal { refusal() } else { serving.answer(&request, is_loopback).await };
            connection.sends(response.body().progress());
            let was_scraped =
                is_scrape(&request) && request.method() == Method::GET && response.status() == StatusCode::OK;
            let after = if was_scraped { Phase::Scraped } else { Phase::Idle };
            Ok::<_, Infallible>(response.map(|body| Sent { body, connection, after: Some(after) }))
        }
    });
    let stream = Flushed { stream, connection: Arc::clone(connection) };
    let mut http = http1::Builder::new();
    // `Connections::sweep` enforces the timeouts of all connections.
    http.header_read_timeout(None).max_buf_size(MAX_BUFFER).half_close(true);
    if let Err(error) = requests.watch(http.serve_connection(TokioIo::new(stream), service)).await {
        serving.failed("a connection failed", &error);
    }
}

fn is_scrape<B>(request: &Request<B>) -> bool {
    request.uri().path() == PATH
}

/// Returns the response for a connection that exceeds the limit.
fn refusal() -> Response<ExpositionBody> {
    let mut response = ScrapeResponse::text(503, "Too many connections.\n");
    response.headers.extend([("retry-after", "1"), ("connection", "close")]);
    response.into_response()
}

/// A body that reports when the whole response has been produced.
struct Sent {
    body: ExpositionBody,
    connection: Arc<Connection>,
    /// The phase of the connection once the response has been sent; `None` if the body has failed.
    after: Option<Phase>,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(Some(Err(_)))) {
            self.after = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if let Some(after) = self.after {
            self.connection.has_produced(after);
        }
    }
}

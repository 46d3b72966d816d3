//! The HTTP server for `/metrics` and the live page, on a dedicated thread.
//!
//! The thread creates, runs and drops a single-threaded tokio runtime. The caller cannot own the runtime, because a
//! runtime must not be dropped inside another runtime.

#[cfg(feature = "auth")]
mod auth;
mod connection;
mod connections;
mod error;
mod host;
mod serve;
mod stream;
#[cfg(feature = "tls")]
mod tls;

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::{mem, process};

use log::Level;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

pub use error::{InvalidCredentials, ServeError, TlsPart};
#[cfg(feature = "tls")]
pub use tls::Tls;

use super::http::exposition::Exposition;
use crate::logging::log;
use crate::registry::declared::UserCode;
use crate::registry::{ProblemKind, Registry};
use serve::{Admission, Secure, Serving};

/// The default limit on open connections.
const MAX_CONNECTIONS: usize = 512;
/// The size, in bytes, of the operating system's send buffer for each connection. With a larger buffer, the system
/// would report free space so rarely that a slow client would seem to have stopped reading.
const SEND_BUFFER: u32 = 128 << 10;
/// The maximum number of connections waiting to be accepted. If the backlog is full, the client's system retries only
/// after a second or more, so a short backlog would delay scrapers during a burst of connections.
const BACKLOG: u32 = 4_096;

/// Serves the global registry under `/metrics`, on a dedicated thread. Browsers get a [`LivePage`](crate::LivePage) at
/// `/`.
///
/// The server keeps running when the handle is dropped; to stop it, call [`HttpServer::shutdown`]. With port 0, the
/// system chooses a free port, which [`HttpServer::local_addr`] returns. `addr` must implement [`fmt::Debug`] so that
/// an error can quote it. All address types in the standard library implement it.
///
/// # Errors
///
/// Returns an error if the address cannot be resolved or bound, or if no thread can be spawned. The error names the
/// address.
///
/// # Example: exposing everything
///
/// ```
/// use metrics_core::start_http_server;
///
/// let server = start_http_server("127.0.0.1:0")?;
/// println!("http://{}/metrics", server.local_addr());
/// # Ok::<(), metrics_core::ServeError>(())
/// ```
pub fn start_http_server(addr: impl ToSocketAddrs + fmt::Debug) -> Result<HttpServer, ServeError> {
    HttpServer::builder().start(addr)
}

/// A handle to a running HTTP server. Dropping the handle does not stop the server.
pub struct HttpServer {
    local_addr: SocketAddr,
    stop: Arc<Notify>,
    /// The ID of the process that the thread belongs to.
    process: u32,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Returns a builder with more options than [`start_http_server`].
    pub fn builder() -> HttpServerBuilder {
        HttpServerBuilder {
            registry: None,
            strict: false,
            max_connections: MAX_CONNECTIONS,
            max_scrapes: None,
            live_page: true,
            secure: None,
            admission: None,
        }
    }

    /// Returns the address that the server listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Shuts the server down: stops accepting connections, waits up to 5 seconds for responses in flight, and returns
    /// once the thread has exited and the port is free.
    ///
    /// In a forked child of the process that started the server, this method only logs a warning, because the server
    /// does not run in the child.
    pub fn shutdown(mut self) {
        if self.process != process::id() {
            log(Level::Warn, format_args!("the metrics server runs in another process and was not shut down"));
            return;
        }
        self.stop.notify_one();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log(Level::Error, format_args!("the thread of the metrics server panicked"));
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        if self.process != process::id() {
            // The thread does not exist in a forked child, so the child can neither join it nor drop the handle.
            mem::forget(self.thread.take());
        }
    }
}

impl fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServer").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

/// A builder for an HTTP server.
#[derive(Clone, Debug)]
#[must_use = "the server starts when `start` is called"]
pub struct HttpServerBuilder {
    registry: Option<Registry>,
    strict: bool,
    max_connections: usize,
    max_scrapes: Option<usize>,
    live_page: bool,
    secure: Option<Arc<dyn Secure>>,
    admission: Option<Arc<dyn Admission>>,
}

impl HttpServerBuilder {
    /// Sets the registry to serve. The default is the global registry.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = Some(registry.clone());
        self
    }

    /// Sets whether the server refuses to start if [`Registry::check`] reports problems other than style problems.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Limits the number of open connections. The default is 512, and the minimum is 1.
    ///
    /// At the limit, the server closes an existing connection to make room for each new one. It chooses, in order of
    /// preference:
    ///
    /// 1. a connection that has not sent a request yet
    /// 2. an idle connection whose last request was not a scrape
    /// 3. an idle connection whose last request was a scrape
    /// 4. a connection whose client has not read any of its response for seven seconds
    ///
    /// If no connection qualifies, the new connection gets status 503.
    pub fn max_connections(mut self, most: usize) -> Self {
        self.max_connections = most.max(1);
        self
    }

    /// Limits the number of responses that are sent concurrently; see [`Exposition::max_scrapes`].
    pub fn max_scrapes(mut self, most: usize) -> Self {
        self.max_scrapes = Some(most);
        self
    }

    /// Sets whether the server serves a [`LivePage`](crate::LivePage) at `/`. The default is true.
    pub fn live_page(mut self, live_page: bool) -> Self {
        self.live_page = live_page;
        self
    }

    /// Starts the server; see [`start_http_server`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`start_http_server`], and [`ServeError::Problems`] if [`HttpServerBuilder::strict`]
    /// is set and the registry has problems. With the `tls` and `auth` features, also returns an error if a
    /// certificate, a key, a certificate authority or the credentials are invalid.
    pub fn start(self, addr: impl ToSocketAddrs + fmt::Debug) -> Result<HttpServer, ServeError> {
        let registry = self.registry.unwrap_or_else(|| Registry::global().clone());
        registry.initialize(UserCode::Now);
        if self.strict {
            refuse_problems(&registry)?;
        }
        let exposition = Exposition::of(&registry);
        let exposition = match self.max_scrapes {
            Some(most) => exposition.max_scrapes(most),
            None => exposition,
        };
        self.admission.iter().try_for_each(|admission| admission.check())?;
        let secure = self.secure.map(|secure| secure.acceptor()).transpose()?;
        let live_page = self.live_page.then(|| exposition.live_page());
        let serving = Serving::new(exposition, live_page, self.max_connections, secure, self.admission);
        let addrs =
            addr.to_socket_addrs().map_err(|source| ServeError::Resolve { addr: format!("{addr:?}"), source })?;
        let addrs: Vec<SocketAddr> = addrs.collect();
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let (ready, started) = mpsc::channel();
        // The runtime is created and dropped on the new thread because the caller may be inside another runtime.
        let spawned = thread::Builder::new().name("metrics-http".to_owned()).spawn(move || {
            let (runtime, listener) = match enter(&addrs) {
                Ok((runtime, listener, local_addr)) => {
                    drop(ready.send(Ok(local_addr)));
                    (runtime, listener)
                }
                Err(error) => return drop(ready.send(Err(error))),
            };
            // The server runs as a spawned task because a runtime gives its main future priority over spawned tasks.
            let served = runtime.spawn(serve::serve(listener, Arc::new(serving), stopped));
            if runtime.block_on(served).is_err() {
                log(Level::Error, format_args!("the metrics server panicked"));
            }
            // A collector that never returns must not prevent shutdown.
            runtime.shutdown_background();
        });
        let thread = spawned.map_err(|source| ServeError::Spawn { source })?;
        let local_addr = started.recv().map_err(|error| ServeError::Spawn { source: io::Error::other(error) })??;
        Ok(HttpServer { local_addr, stop, process: process::id(), thread: Some(thread) })
    }
}

/// Creates a runtime for this thread and a listener in that runtime, and returns both along with the listener's
/// address.
fn enter(addrs: &[SocketAddr]) -> Result<(Runtime, TcpListener, SocketAddr), ServeError> {
    // The runtime checks for I/O events and for wake-ups from other threads after every task. By default, it checks for
    // I/O events every 61 tasks and for wake-ups every 31 tasks. These intervals are too long because a task that
    // encodes a long response takes 300 microseconds per poll.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_io().enable_time().event_interval(1).global_queue_interval(1).build();
    let runtime = runtime.map_err(|source| ServeError::Spawn { source })?;
    let listener = {
        let _context = runtime.enter();
        bind(addrs)
    };
    let bound = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (local_addr, listener) = bound.map_err(|source| ServeError::Bind { addrs: addrs.to_vec(), source })?;
    Ok((runtime, listener, local_addr))
}

fn refuse_problems(registry: &Registry) -> Result<(), ServeError> {
    let mut problems = registry.check();
    problems.retain(|problem| !matches!(problem.kind, ProblemKind::Style(_)));
    if problems.is_empty() { Ok(()) } else { Err(ServeError::Problems(problems)) }
}

/// Listens on the first address that can be bound.
fn bind(addrs: &[SocketAddr]) -> io::Result<TcpListener> {
    let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "no address was given");
    for addr in addrs {
        match listen(*addr) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Like the standard library, allow binding a port that still has connections from a previous server. On Windows,
    // this option would let several servers share a port.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    // Accepted connections inherit the buffer size. Errors are ignored because the size only affects how soon the
    // progress of slow clients becomes visible.
    socket.set_send_buffer_size(SEND_BUFFER).ok();
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

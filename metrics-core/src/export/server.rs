//! The HTTP server for `/metrics`, on a dedicated thread.
//!
//! The thread creates, runs and drops a single-threaded tokio runtime. The caller cannot own it, because the caller may
//! be inside another runtime, where dropping a runtime is not allowed.

#[cfg(feature = "auth")]
mod auth;
mod connection;
mod connections;
mod error;
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

/// Connections that are open at once, if the user does not say.
const MAX_CONNECTIONS: usize = 512;
/// Bytes that the system takes of a response before the client does. Of a larger buffer a slow client empties a part so
/// seldom that it looks as if it had stopped reading.
const SEND_BUFFER: u32 = 128 << 10;
/// Connections that wait for the server's thread. One more is tried again by its client's system after a second or
/// more, so that a burst of them would hold up scrapers.
const BACKLOG: u32 = 4_096;

/// Serves the global registry under `/metrics`, from a thread of its own.
///
/// The server keeps running when the handle is dropped; to stop it, call [`HttpServer::shutdown`]. With port 0 the system
/// chooses a free port, which [`HttpServer::local_addr`] returns. `addr` must implement [`fmt::Debug`] so that an error can
/// quote it, as all address types of the standard library do.
///
/// # Errors
///
/// Returns an error if the address cannot be resolved or bound, or if no thread can be spawned; the error names the
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

/// A running HTTP server. Dropping it leaves the server running.
pub struct HttpServer {
    local_addr: SocketAddr,
    stop: Arc<Notify>,
    /// The process that has the thread.
    process: u32,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Options beyond those of [`start_http_server`].
    pub fn builder() -> HttpServerBuilder {
        HttpServerBuilder {
            registry: None,
            strict: false,
            max_connections: MAX_CONNECTIONS,
            max_scrapes: None,
            secure: None,
            admission: None,
        }
    }

    /// The address it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Ends the server: takes no more connections, lets running responses end (for up to 5 seconds), and returns when
    /// its thread has ended and its port is free.
    ///
    /// In a process that was forked from the one that started the server, this only logs a warning: the server does not
    /// run there.
    pub fn shutdown(mut self) {
        if self.process != process::id() {
            log(Level::Warn, format_args!("the metrics server runs in another process and is not shut down"));
            return;
        }
        self.stop.notify_one();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log(Level::Error, format_args!("the thread of the metrics server had panicked"));
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        if self.process != process::id() {
            // The handle of a thread that a forked child does not have can be neither joined nor dropped.
            mem::forget(self.thread.take());
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
    max_connections: usize,
    max_scrapes: Option<usize>,
    secure: Option<Arc<dyn Secure>>,
    admission: Option<Arc<dyn Admission>>,
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

    /// Limits the number of connections that are open at once; 512 if not set, and at least 1.
    ///
    /// For one more, the server closes another: first one that has not sent a request yet, then an idle one whose last request
    /// was not a scrape, then one that was scraped and is idle, then one whose client has taken nothing of its response for
    /// seven seconds. If there is none, the new connection gets status 503.
    pub fn max_connections(mut self, most: usize) -> Self {
        self.max_connections = most.max(1);
        self
    }

    /// How many scrapes are answered at once; see [`Exposition::max_scrapes`].
    pub fn max_scrapes(mut self, most: usize) -> Self {
        self.max_scrapes = Some(most);
        self
    }

    /// Starts the server; see [`start_http_server`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`start_http_server`]; [`ServeError::Problems`] if [`HttpServerBuilder::strict`] is set and
    /// the registry has problems; and, with the features `tls` and `auth`, an error if a certificate, a key, an authority
    /// or credentials cannot be used.
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
        let serving = Serving::new(exposition, self.max_connections, secure, self.admission);
        let addrs =
            addr.to_socket_addrs().map_err(|source| ServeError::Resolve { addr: format!("{addr:?}"), source })?;
        let addrs: Vec<SocketAddr> = addrs.collect();
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let (ready, started) = mpsc::channel();
        // The runtime lives and ends on that thread: the caller may be inside of another one, where it could not end.
        let spawned = thread::Builder::new().name("metrics-http".to_owned()).spawn(move || {
            let (runtime, listener) = match enter(&addrs) {
                Ok((runtime, listener, local_addr)) => {
                    drop(ready.send(Ok(local_addr)));
                    (runtime, listener)
                }
                Err(error) => return drop(ready.send(Err(error))),
            };
            // As a task among the others, because the main future of a runtime has precedence over tasks.
            let served = runtime.spawn(serve::serve(listener, Arc::new(serving), stopped));
            if runtime.block_on(served).is_err() {
                log(Level::Error, format_args!("the metrics server has panicked"));
            }
            // A collector that does not come back must not keep the server from ending.
            runtime.shutdown_background();
        });
        let thread = spawned.map_err(|source| ServeError::Spawn { source })?;
        let local_addr = started.recv().map_err(|error| ServeError::Spawn { source: io::Error::other(error) })??;
        Ok(HttpServer { local_addr, stop, process: process::id(), thread: Some(thread) })
    }
}

/// A runtime for this thread, and a listener in it with its address.
fn enter(addrs: &[SocketAddr]) -> Result<(Runtime, TcpListener, SocketAddr), ServeError> {
    // After each task, the runtime checks for new requests and for wake-ups from other threads. By default it does so after
    // 61 and 31 tasks, and a task that encodes a long response takes 300 microseconds each time.
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

/// Listens on the first address that can be had.
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
    // As the standard library does: what is left of a server that has ended does not keep its port. On Windows it would
    // let several servers have one port.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    // Accepted connections inherit it. Best effort: it only makes progress of slow clients visible sooner.
    socket.set_send_buffer_size(SEND_BUFFER).ok();
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

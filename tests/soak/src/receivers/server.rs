//! TCP servers that fail in every way: they refuse connections, reset them, hang, and respond with errors.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use crate::failures;
use crate::model::lock;
use crate::random::Random;

/// The condition of a receiver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Condition {
    Healthy,
    /// Half of the requests fail.
    Faulty,
    /// Nothing listens.
    Dead,
}

/// The condition of one receiver, and its counts.
pub(crate) struct Control {
    condition: AtomicU8,
    random: Mutex<Random>,
    pub(crate) stop: AtomicBool,
    /// The number of requests that were stored.
    pub(crate) stored: AtomicU64,
    /// The number of requests that failed.
    pub(crate) failed: AtomicU64,
    /// The number of times that the receiver died.
    pub(crate) deaths: AtomicU64,
}

/// A fault of one request. The request is not stored.
#[derive(Clone, Copy)]
pub(super) enum Fault {
    /// Resets the connection after this many bytes.
    ResetAfter(u64),
    /// Reads everything, and closes the connection after a while without a response.
    NoResponse,
    /// Responds with status 503, or closes the connection if the protocol has no responses.
    Error,
}

impl Control {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            condition: AtomicU8::new(0),
            random: Mutex::new(Random::new(seed)),
            stop: AtomicBool::new(false),
            stored: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            deaths: AtomicU64::new(0),
        })
    }

    pub(crate) fn set(&self, condition: Condition) {
        self.condition.store(condition as u8, Ordering::SeqCst);
    }

    pub(super) fn is(&self, condition: Condition) -> bool {
        self.condition.load(Ordering::SeqCst) == condition as u8
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Returns the fault of the next request.
    pub(super) fn fault(&self) -> Option<Fault> {
        let mut random = lock(&self.random);
        if self.is(Condition::Healthy) || random.once_in(2) {
            return None;
        }
        self.failed.fetch_add(1, Ordering::Relaxed);
        let length = random.below(100_000);
        Some(random.pick(&[Fault::ResetAfter(length), Fault::NoResponse, Fault::Error]))
    }

    /// Counts a stored request. An error is a bug in the library.
    pub(super) fn count(&self, receiver: &str, result: Result<(), String>) {
        self.stored.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = result {
            failures::report(format!("{receiver} received nonsense: {error}"));
        }
    }
}

/// Listens on a thread, and serves each connection on another thread.
pub(super) fn listen(
    address: SocketAddr,
    control: &Arc<Control>,
    serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind(address).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (control, serve) = (Arc::clone(control), Arc::new(serve));
    thread::spawn(move || {
        let mut listener = Some(listener);
        while !control.is_stopped() {
            if control.is(Condition::Dead) {
                control.deaths.fetch_add(u64::from(listener.take().is_some()), Ordering::Relaxed);
            } else if listener.is_none() {
                // The port may still be in use.
                listener = TcpListener::bind(address).ok();
            }
            let accepted = listener.as_ref().and_then(|listener| {
                listener.set_nonblocking(true).ok()?;
                listener.accept().ok()
            });
            let Some((stream, _)) = accepted else {
                thread::sleep(Duration::from_millis(2));
                continue;
            };
            let serve = Arc::clone(&serve);
            thread::spawn(move || {
                let timeout = Some(Duration::from_secs(20));
                let prepared = stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(timeout));
                // An error only means that the client has disconnected.
                prepared.and_then(|()| serve(stream)).ok();
            });
        }
    });
    address
}

/// Reads some bytes, and resets the connection. A client that sends fewer bytes gets no response for 4 seconds, which
/// is longer than the timeout of all clients but one.
pub(super) fn reset(mut stream: TcpStream, after: u64) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(4)))?;
    io::copy(&mut Read::by_ref(&mut stream).take(after), &mut io::sink()).ok();
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))
}

/// A request: the head in lower case, and the body.
pub(super) struct Request {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

/// Serves HTTP requests, and passes those without a fault to `store`.
pub(super) fn serve_http(
    mut stream: TcpStream,
    name: &str,
    control: &Control,
    store: impl Fn(&Request) -> Result<(), String>,
) -> io::Result<()> {
    loop {
        let fault = control.fault();
        if let Some(Fault::ResetAfter(bytes)) = fault {
            return reset(stream, bytes);
        }
        let request = read_request(&mut stream)?;
        if control.is(Condition::Dead) {
            return Ok(());
        }
        match fault {
            None => {
                control.count(name, store(&request));
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
            }
            Some(Fault::Error) => {
                stream.write_all(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy")?;
            }
            Some(_) => {
                thread::sleep(Duration::from_millis(300));
                return Ok(());
            }
        }
    }
}

fn read_request(stream: &mut TcpStream) -> io::Result<Request> {
    let mut bytes = Vec::new();
    let mut more = [0; 16_384];
    let mut length = None;
    loop {
        if length.is_none()
            && let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let value = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            length = Some((end + 4, value.and_then(|value| value.parse().ok()).unwrap_or(0_usize), head));
        }
        if let Some((start, length, head)) = &length
            && bytes.len() >= start + length
        {
            return Ok(Request { head: head.clone(), body: bytes[*start..start + length].to_vec() });
        }
        match stream.read(&mut more)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => bytes.extend_from_slice(&more[..read]),
        }
    }
}

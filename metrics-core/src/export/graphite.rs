//! The push target for Graphite. Each push opens one connection and sends lines in the plaintext protocol.
//!
//! A successful write does not prove delivery, because the peer's operating system accepts bytes even if carbon is
//! about to exit. After the last line, the target therefore shuts down its half of the connection and waits for the
//! peer to close the other half, which carbon does once it has read everything. The push fails if the peer resets the
//! connection or closes it before everything is sent.
//!
//! If a peer closes the connection before reading all bytes, the end of its stream may arrive before the reset. The
//! target therefore waits briefly after the end of the stream, in case a reset follows. One failure goes undetected
//! because TCP does not report it: the peer's system receives everything, but the peer closes the connection before
//! reading it all.

mod line;

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::push::options::{PushOptions, push_methods};
use super::push::{PushContext, PushTarget, address, path};
use line::GraphiteLines;

/// The time to wait for a reset after the end of the peer's stream. A reset follows within one or two milliseconds,
/// not counting network jitter.
const RESET_GRACE: Duration = Duration::from_millis(50);
/// The number of bytes to buffer before writing.
const CHUNK: usize = 64 * 1_024;

/// Pushes a registry's metrics to Graphite: to carbon, or to another server that accepts the plaintext protocol.
///
/// ```text
/// shop_request_latency_seconds_count.method.GET.path._foo 12.0 1434898897
/// shop_request_latency_seconds_count;method=GET;path=_foo 12.0 1434898897        (tagged)
/// ```
///
/// - A name consists of the sample name in the text format, followed by the labels, sorted by name. Characters other
///   than `[a-zA-Z0-9_-]` become `_`. An empty label value also becomes `_`; with tags, that tag is omitted instead
///   because Graphite does not support empty tags.
/// - A label called `name` becomes the tag `exported_name`, because Graphite reserves `name` for the series name.
/// - All lines of a push have the same timestamp, in seconds.
/// - Samples that carbon cannot store are skipped and counted, and the first one for each reason is logged:
///   - NaN values
///   - names that are too long: over 250 bytes in a part or 3,500 bytes in total, or over 16,000 bytes with tags
///   - series whose name matches that of an earlier series after character replacement, because one would overwrite the
///     other
///
/// Each push opens one connection and succeeds once carbon has received everything and closed the connection. The first
/// push after a carbon outage sends the current totals, so only data points from the outage itself are missing. A
/// push uses 64 KiB of memory, plus 10 to 30 bytes per line.
///
/// # Example: pushing every ten seconds and at shutdown
///
/// ```
/// use std::time::Duration;
///
/// use metrics_core::GraphiteBridge;
///
/// # let carbon = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let address = carbon.local_addr()?.to_string();
/// # let address = address.as_str();
/// # std::thread::spawn(move || {
/// #     for connection in carbon.incoming().flatten() {
/// #         std::io::copy(&mut &connection, &mut std::io::sink()).ok();
/// #     }
/// # });
/// // For example "graphite.example:2003".
/// let pusher = GraphiteBridge::new(address).prefix("shop.eu-1").start(Duration::from_secs(10))?;
/// // .. the service runs until it receives a signal ..
/// pusher.shutdown()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is sent until `start` or `push` is called"]
pub struct GraphiteBridge {
    target: Graphite,
    options: PushOptions,
}

/// The push target: carbon's address and the line format.
#[derive(Clone, Debug)]
struct Graphite {
    name: String,
    address: String,
    /// The prefix for all names. It contains only valid characters and ends with a dot, or is empty if no prefix is
    /// set.
    prefix: String,
    tagged: bool,
}

impl GraphiteBridge {
    /// Creates a bridge to this address, in the form `host:port`; URLs are not supported. Carbon listens on port 2003
    /// by default.
    ///
    /// Each push resolves the host name again. The system's name resolution cannot be canceled, so a push that times
    /// out during name resolution fails only once it returns.
    pub fn new(address: impl Into<String>) -> Self {
        let (name, address) = ("graphite".to_owned(), address.into());
        let target = Graphite { name, address, prefix: String::new(), tagged: false };
        Self { target, options: PushOptions::default() }
    }

    /// Sets a prefix for all names. Dots separate its parts. Invalid characters become `_`, and empty parts are
    /// removed.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.target.prefix = path::prefix(prefix);
        self
    }

    /// Writes labels as tags (`;path=_foo`) instead of parts of the name (`.path._foo`). Graphite has supported tags
    /// since version 1.1.
    pub fn tagged(mut self) -> Self {
        self.target.tagged = true;
        self
    }
}

push_methods!(GraphiteBridge, default name: "graphite");

impl Graphite {
    fn check(&self) -> io::Result<()> {
        self.host_and_port().map(drop)
    }

    /// Returns the host and the port of the address.
    fn host_and_port(&self) -> io::Result<(&str, u16)> {
        address::host_and_port(&self.address).ok_or_else(|| {
            let message =
                format!("{:?} is not a valid address; write host:port, such as \"localhost:2003\"", self.address);
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })
    }

    /// Connects to the first reachable address of the host. The remaining time is divided among the remaining
    /// addresses.
    fn connect(&self, push: &PushContext<'_>) -> io::Result<TcpStream> {
        let in_words = |what: &'static str| move |error| self.failed(what, &error);
        let target = self.host_and_port()?;
        let addrs = address::resolve(target, push).map_err(in_words("cannot resolve"))?;
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for (at, addr) in addrs.iter().enumerate() {
            let others = u32::try_from(addrs.len() - at).unwrap_or(u32::MAX);
            let timeout =
                (push.time_left().map_err(in_words("cannot connect to"))? / others).max(Duration::from_millis(1));
            match TcpStream::connect_timeout(addr, timeout) {
                Ok(stream) if is_own_end(&stream) => failed = io::ErrorKind::ConnectionRefused.into(),
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(self.failed("cannot connect to", &failed))
    }

    fn failed(&self, what: &str, error: &io::Error) -> io::Error {
        address::failed(what, &self.address, error)
    }
}

impl PushTarget for Graphite {
    fn name(&self) -> &str {
        &self.name
    }

    fn push(&mut self, push: &PushContext<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
        let time = push.time().duration_since(UNIX_EPOCH).map_err(|_| "the system clock is set before 1970")?;
        let mut connection = Connection { stream: self.connect(push)?, push };
        let mut lines = GraphiteLines::new(&self.prefix, self.tagged, time.as_secs(), push);
        let mut steps = push.scrape().begin();
        let mut has_more = true;
        while has_more {
            has_more = steps.step(&|_, _| true, &mut lines);
            if lines.out.len() >= CHUNK || !has_more {
                connection.write(&lines.out).map_err(|error| self.failed("cannot send all lines to", &error))?;
                lines.out.clear();
            }
        }
        Ok(connection.end().map_err(|error| self.failed("cannot confirm delivery to", &error))?)
    }
}

/// Returns true if a socket is connected to itself.
///
/// This happens if no process is listening on the port and the system assigns that port to the client.
fn is_own_end(stream: &TcpStream) -> bool {
    stream.local_addr().is_ok_and(|own| stream.peer_addr().is_ok_and(|peer| own == peer))
}

/// A connection whose operations time out at the push's deadline.
struct Connection<'p> {
    stream: TcpStream,
    push: &'p PushContext<'p>,
}

impl Connection<'_> {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.set_write_timeout(Some(self.push.time_left()?))?;
            match self.stream.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Shuts down this side of the connection and waits until the peer closes the other side.
    ///
    /// A clean close indicates that the peer has read everything. Returns an error if the connection is aborted.
    fn end(mut self) -> io::Result<()> {
        self.stream.set_nonblocking(true)?;
        match self.skip() {
            // The peer closed the connection early and may have read nothing.
            Ok(()) => {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the connection was closed before everything was sent",
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        self.stream.set_nonblocking(false)?;
        self.stream.shutdown(Shutdown::Write)?;
        self.skip()?;
        self.expect_no_reset()
    }

    /// Waits until a reset can no longer follow the end of the peer's stream. Returns an error if the connection is
    /// reset.
    fn expect_no_reset(&self) -> io::Result<()> {
        let end = Instant::now() + RESET_GRACE;
        // After the end of the stream, a read does not report a reset, so the socket is polled for an error.
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(error) = self.stream.take_error()? {
                return Err(error);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(pause).min(self.push.time_left()?));
            pause *= 2;
        }
    }

    /// Reads and discards everything until the end of the peer's stream.
    fn skip(&mut self) -> io::Result<()> {
        let mut ignored = [0; 512];
        loop {
            self.stream.set_read_timeout(Some(self.push.time_left()?))?;
            match self.stream.read(&mut ignored) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};
    use std::time::SystemTime;

    use super::*;
    use crate::export::push::TIMEOUT;
    use crate::gauge::Gauge;
    use crate::registry::Registry;

    /// Returns the lines that a push sends at the given time.
    fn sent_at(time: SystemTime) -> Result<String, Box<dyn Error + Send + Sync>> {
        let registry = Registry::new();
        Gauge::builder("g", "").register_in(&registry).expect("valid").set(1);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let reading = thread::spawn(move || {
            let mut text = String::new();
            listener.accept().expect("a connection").0.read_to_string(&mut text).expect("UTF-8");
            text
        });
        let push = PushContext::new(&registry, "graphite", Instant::now() + TIMEOUT).at(time);
        GraphiteBridge::new(address).target.push(&push)?;
        Ok(reading.join().expect("no panic"))
    }

    #[test]
    fn a_push_without_time_left_does_not_resolve_the_name() {
        let registry = Registry::new();
        let push = PushContext::new(&registry, "graphite", Instant::now());
        let error = GraphiteBridge::new("carbon.invalid:2003").target.push(&push).expect_err("it is too late");
        assert_eq!(error.to_string(), "cannot resolve carbon.invalid:2003: timed out");
    }

    #[test]
    fn a_socket_connected_to_itself_is_detected() {
        let own = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        own.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
        own.connect(&own.local_addr().expect("an address")).expect("itself");
        assert!(is_own_end(&own.into()));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let other = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        assert!(!is_own_end(&other));
    }

    #[test]
    fn the_timestamp_is_the_system_time() {
        let year = Duration::from_secs(365 * 24 * 3_600);
        for time in [UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(1_434_898_897), UNIX_EPOCH + year * 1_000] {
            let seconds = time.duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
            assert_eq!(sent_at(time).expect("sent"), format!("g 1.0 {seconds}\n"));
        }
        let error = sent_at(UNIX_EPOCH - year).expect_err("carbon has no times before 1970");
        assert_eq!(error.to_string(), "the system clock is set before 1970");
    }
}

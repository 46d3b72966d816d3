//! The push target for Graphite: one connection per push, and lines of the plaintext protocol.
//!
//! The operating system accepts bytes for a process that is about to exit, so a successful write does not prove
//! delivery. After the last line, the target shuts down its half of the connection and waits for the peer to close the
//! other half, which carbon does once it has read everything. If the connection is reset or closed before everything
//! was sent, the push fails. A peer that closes with bytes unread may send its end first, and the reset follows. So the
//! target waits for a moment after the end, in which a reset would arrive. One thing remains undetected, because TCP does
//! not report it: a peer whose system has received everything and that closes without having read it.

mod line;

use std::error::Error;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::push::{PushContext, PushError, PushTarget, Pusher, PusherBuilder, TIMEOUT};
use crate::registry::Registry;
use line::GraphiteLines;

/// How long a reset may follow the end of the other side. It follows within a millisecond or two, plus the variation of the
/// network's delay.
const RESET_GRACE: Duration = Duration::from_millis(50);
/// Bytes that are sent at once.
const CHUNK: usize = 64 * 1_024;

/// Sends what a registry shows to Graphite: to a carbon, or whatever else takes its plaintext protocol.
///
/// ```text
/// shop_request_latency_seconds_count.method.GET.path._foo 12.0 1434898897
/// shop_request_latency_seconds_count;method=GET;path=_foo 12.0 1434898897        (tagged)
/// ```
///
/// - The names are those of samples in the text format; labels follow by name. Characters outside of `[a-zA-Z0-9_-]` become
///   `_`. An empty label value becomes `_`; with tags the tag is left out, as Graphite has none that are empty.
/// - A label called `name` is the tag `exported_name`, since Graphite keeps the series' own name under `name`.
/// - All lines of a push have the same time stamp, in seconds.
/// - Left out, counted and logged once is what carbon could not keep: values that are not a number; names that are longer
///   than its files' (a part over 250 bytes, 3,500 in all; names that have tags, 16,000); and series that have the name of
///   another one, shown before, once their characters are replaced, where the last would win.
///
/// Each push makes one connection, and is a success when carbon has closed it after everything was sent. What went on while
/// carbon was away is in the next push, as totals always are; points of that time are missing. Memory holds 64 KiB, and 10 to
/// 30 bytes for each line while a push goes on.
///
/// # Example: every ten seconds, and once more at the end
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
/// // .. the service runs, until it is told to end ..
/// pusher.shutdown()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is sent until `start` or `push` is called"]
pub struct GraphiteBridge {
    graphite: Graphite,
    registry: Option<Registry>,
    timeout: Duration,
}

/// Where to send lines, and what they look like.
#[derive(Clone, Debug)]
struct Graphite {
    name: String,
    address: String,
    /// Of valid characters, and with a dot at its end if there is one.
    prefix: String,
    tagged: bool,
}

impl GraphiteBridge {
    /// Sends to this address, `host:port`; carbon listens on port 2003. The name is resolved anew by each push.
    pub fn new(address: impl Into<String>) -> Self {
        let (name, address) = ("graphite".to_owned(), address.into());
        let graphite = Graphite { name, address, prefix: String::new(), tagged: false };
        Self { graphite, registry: None, timeout: TIMEOUT }
    }

    /// What all names begin with, with dots between its parts. Characters that no name can have become `_`, and empty
    /// parts are left out.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.graphite.prefix = line::prefix(prefix);
        self
    }

    /// Writes labels as tags (`;path=_foo`), which Graphite has since version 1.1, and not as parts of the name
    /// (`.path._foo`).
    pub fn tagged(mut self) -> Self {
        self.graphite.tagged = true;
        self
    }

    /// The registry to send, if not the global one.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = Some(registry.clone());
        self
    }

    /// How long one push may take; 10 seconds if not set. The system's name look-up cannot be cut short: where it takes longer,
    /// the push fails as soon as it is over.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The value of label `target` in what this tells about itself, `graphite` if not set: for services that have several.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.graphite.name = name.into();
        self
    }

    /// Sends everything once, on this thread; a failure is returned and not logged.
    ///
    /// # Errors
    ///
    /// Where the address is none, cannot be resolved or reached, or not everything was read in time.
    pub fn push(&self) -> Result<(), PushError> {
        self.pusher().push()
    }

    /// Sends everything now, and then once in each interval, from a thread; [`Pusher`] tells when, and what becomes of
    /// failures.
    ///
    /// # Errors
    ///
    /// Returns an error if the address is not of the form `host:port` (a URL is not), the interval or the timeout is 0, or the
    /// system has no thread left. It is not an error that the name cannot be resolved or carbon cannot be reached: both may
    /// change later.
    pub fn start(&self, interval: Duration) -> io::Result<Pusher> {
        self.graphite.target()?;
        self.pusher().interval(interval).start()
    }

    fn pusher(&self) -> PusherBuilder {
        let pusher = Pusher::builder(self.graphite.clone()).timeout(self.timeout);
        match &self.registry {
            Some(registry) => pusher.registry(registry),
            None => pusher,
        }
    }
}

impl Graphite {
    /// Host and port of the address.
    fn target(&self) -> io::Result<(&str, u16)> {
        let parts = self.address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        let target = parts.and_then(|(host, port)| {
            // IPv6 addresses are written in brackets, as in URLs.
            let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            let is_host = !host.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '[' | ']' | '@' | '?' | '#'));
            is_host.then_some((host, port.parse().ok().filter(|port| *port != 0)?))
        });
        target.ok_or_else(|| {
            let message = format!(
                "{:?} is not the address of a carbon: write host:port, such as \"localhost:2003\"",
                self.address
            );
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })
    }

    /// Connects to the first address of that name that can be reached; each has its share of the time.
    fn connect(&self, push: &PushContext<'_>) -> io::Result<TcpStream> {
        let in_words = |what: &'static str| move |error| self.failed(what, &error);
        let target = self.target()?;
        let look_up = || {
            push.time_left()?;
            let addrs: Vec<SocketAddr> = target.to_socket_addrs()?.collect();
            push.time_left().map(|_| addrs)
        };
        let addrs = look_up().map_err(in_words("cannot resolve"))?;
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
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
        let in_words: &dyn fmt::Display = match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => &"no answer in time",
            _ => error,
        };
        io::Error::new(error.kind(), format!("{what} {}: {in_words}", self.address))
    }
}

impl PushTarget for Graphite {
    fn name(&self) -> &str {
        &self.name
    }

    fn push(&mut self, push: &PushContext<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
        let time = push.time().duration_since(UNIX_EPOCH).map_err(|_| "the system's clock stands before 1970")?;
        let mut connection = Connection { stream: self.connect(push)?, push };
        let mut lines = GraphiteLines::new(&self.prefix, self.tagged, time.as_secs(), push);
        let mut steps = push.scrape().begin();
        let mut has_more = true;
        while has_more {
            has_more = steps.step(&|_, _| true, &mut lines);
            if lines.out.len() >= CHUNK || !has_more {
                connection.write(&lines.out).map_err(|error| self.failed("cannot send everything to", &error))?;
                lines.out.clear();
            }
        }
        Ok(connection.end().map_err(|error| self.failed("not everything was read by", &error))?)
    }
}

/// Whether a port is connected with itself, as happens where nobody listens on a port that the system gives to clients.
fn is_own_end(stream: &TcpStream) -> bool {
    stream.local_addr().is_ok_and(|own| stream.peer_addr().is_ok_and(|peer| own == peer))
}

/// A connection, used for no longer than the push may take.
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

    /// Ends the connection from this side, and waits until the other side has done so: what is read by then was read whole,
    /// where a connection that is cut off would be an error.
    fn end(mut self) -> io::Result<()> {
        self.stream.set_nonblocking(true)?;
        match self.skip() {
            // It has not waited for everything, and may have read nothing.
            Ok(()) => {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "it closed the connection before everything was sent",
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

    /// Waits until no reset can follow the end of the other side; returns an error if one does.
    fn expect_no_reset(&self) -> io::Result<()> {
        let end = Instant::now() + RESET_GRACE;
        // Nothing reports a reset of a connection that has ended, so the socket is asked again and again.
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

    /// Reads what nobody wants to know, until the other side says no more.
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
    use std::net::TcpListener;
    use std::time::SystemTime;

    use super::*;
    use crate::gauge::Gauge;

    /// What is sent by a push at this time.
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
        GraphiteBridge::new(address).graphite.push(&push)?;
        Ok(reading.join().expect("no panic"))
    }

    #[test]
    fn what_has_no_time_left_is_not_even_looked_up() {
        let registry = Registry::new();
        let push = PushContext::new(&registry, "graphite", Instant::now());
        let error = GraphiteBridge::new("carbon.invalid:2003").graphite.push(&push).expect_err("it is too late");
        assert_eq!(error.to_string(), "cannot resolve carbon.invalid:2003: no answer in time");
    }

    #[test]
    fn a_port_that_is_connected_with_itself_is_no_carbon() {
        let own = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        own.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
        own.connect(&own.local_addr().expect("an address")).expect("itself");
        assert!(is_own_end(&own.into()));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let other = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        assert!(!is_own_end(&other));
    }

    #[test]
    fn the_time_stamp_is_what_the_clock_says_wherever_it_stands() {
        let year = Duration::from_secs(365 * 24 * 3_600);
        for time in [UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(1_434_898_897), UNIX_EPOCH + year * 1_000] {
            let seconds = time.duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
            assert_eq!(sent_at(time).expect("sent"), format!("g 1.0 {seconds}\n"));
        }
        let error = sent_at(UNIX_EPOCH - year).expect_err("carbon has no such times");
        assert_eq!(error.to_string(), "the system's clock stands before 1970");
    }
}

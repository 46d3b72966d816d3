//! The push target for StatsD and DogStatsD. Each push sends datagrams of lines through a new socket.
//!
//! A server adds up the increments that it receives, so a push sends the increase of each total since its last
//! delivery. The totals advance with each datagram that counts as delivered (see [`udp`]), and keep their values
//! after a failure, so the next push sends the whole increase.

mod datagrams;
mod lines;
mod socket;
mod udp;

use std::error::Error;
use std::io;
use std::sync::Arc;

use super::push::differences::Differences;
use super::push::options::{PushOptions, push_methods};
use super::push::state::PushState;
use super::push::{PushContext, PushTarget, address, path};
use datagrams::Datagrams;
use lines::{Dialect, Sent, StatsDLines};
use socket::{Address, Socket};

/// Pushes a registry's metrics to a StatsD server or to the Datadog Agent (DogStatsD), over UDP or a Unix socket.
///
/// ```text
/// shop_requests_total.method.GET.path._foo:3|c
/// shop_requests_total:3|c|#method:GET,path:/foo        (datadog)
/// ```
///
/// - Counters have type `c`. So do the `_count` and `_sum` of summaries and histograms, and the `_bucket` samples of
///   histograms. A push sends the increase since the last delivery, or the whole total of a series that was never
///   delivered. It sends no line for a total that has not changed, except once for a new series.
/// - Gauges have type `g`. So do quantiles, info metrics, state sets and values of unknown type. Every push sends all
///   of them. If several processes send the same gauges, set a different [`prefix`](Self::prefix) for each. A negative
///   gauge is first set to 0, because servers add a value with a sign to the gauge.
/// - In the plain dialect, a name consists of the sample name in the text format, followed by the labels, sorted by
///   name. Characters other than `[a-zA-Z0-9_-]` become `_`, and so does an empty label value.
/// - In the [DogStatsD dialect](Self::datadog), labels are tags. In their values, `|`, `,`, `#` and control characters
///   become `_`. Tags with empty values are omitted.
/// - Samples that cannot be sent are skipped and counted, and the first one for each reason is logged:
///   - values that are NaN or infinite
///   - samples that are larger than a datagram
///   - gauges whose name matches that of an earlier gauge after character replacement, because one would overwrite the
///     other (counters with the same name add up)
///
/// # Delivery
///
/// Nothing is lost if the socket reports a failure: the next push sends the whole increase since the last delivery. The
/// socket reports a server that is not running, a Unix socket that does not exist or is full, and a datagram that is
/// too large for the system. It does not report datagrams that are lost on the network, or that a server receives but
/// does not process. If the buffer of the server is full, a Unix socket makes the push wait, whereas UDP loses
/// datagrams. Over UDP, a push therefore pauses for up to 10 ms after every 32 KiB.
///
/// Over UDP, the system reports a refused datagram late, without identifying it. A push therefore waits for such a
/// report for 50 ms after the last datagram. On Linux, it does not wait if the server has a loopback address, because
/// the system reports the refusal immediately. A late report may concern any datagram of the push, so the next push
/// sends all of them again. If a server on another host starts or stops during a push, it may therefore count an
/// increase twice, but it never misses one.
///
/// The delivered totals belong to this value and its clones. Pushes through any of them, once or at an interval, send
/// the increase since the last delivery by any of them, and wait for each other. A new `StatsD` first sends the
/// whole totals, and so does a clone whose [`registry`](Self::registry), [`prefix`](Self::prefix) or dialect is set.
/// Increments between the last push and the removal of a series are not sent.
///
/// The totals need about 300 bytes of memory for each label set of a counter, and for each sample of a summary or
/// histogram.
///
/// # Example: pushing every ten seconds and at shutdown
///
/// ```
/// use std::time::Duration;
///
/// use metrics_core::StatsD;
///
/// # let server = std::net::UdpSocket::bind("127.0.0.1:0")?;
/// # let address = server.local_addr()?.to_string();
/// # let address = address.as_str();
/// // For example "localhost:8125" or "unix:/var/run/datadog/dsd.socket".
/// let pusher = StatsD::new(address).prefix("shop.eu-1").start(Duration::from_secs(10))?;
/// // .. the service runs until it receives a signal ..
/// pusher.shutdown()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is sent until `start` or `push` is called"]
pub struct StatsD {
    target: Server,
    options: PushOptions,
}

/// The push target: the server's address, the line format, and the delivered totals.
#[derive(Clone, Debug)]
struct Server {
    name: String,
    address: String,
    dialect: Dialect,
    /// The prefix for all names. It contains only valid characters and ends with a dot, or is empty if no prefix is
    /// set.
    prefix: String,
    /// The maximum size of a datagram, or `None` for the default.
    datagram_size: Option<usize>,
    differences: Arc<PushState<Differences<Sent>>>,
}

impl StatsD {
    /// Creates a target for the server at this address: `host:port` for UDP, or `unix:/path/to/socket` for a Unix
    /// datagram socket. URLs are not supported. Servers listen on UDP port 8125 by default.
    ///
    /// Each push resolves the host name again. The system's name resolution cannot be canceled, so a push that times
    /// out during name resolution fails only once it returns.
    pub fn new(address: impl Into<String>) -> Self {
        let target = Server {
            name: "statsd".to_owned(),
            address: address.into(),
            dialect: Dialect::Plain,
            prefix: String::new(),
            datagram_size: None,
            differences: Arc::default(),
        };
        Self { target, options: PushOptions::default() }
    }

    /// Sends labels as tags (`|#path:/foo`), in the DogStatsD dialect, instead of parts of the name (`.path._foo`). The
    /// Datadog Agent supports this dialect, and so do some other servers.
    pub fn datadog(mut self) -> Self {
        self.target.dialect = Dialect::Datadog;
        self.with_new_totals()
    }

    /// Sets a prefix for all names. Dots separate its parts. Invalid characters become `_`, and empty parts are
    /// removed.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.target.prefix = path::prefix(prefix);
        self.with_new_totals()
    }

    /// Sets the maximum size of a datagram, in bytes. The default is 1,432 for UDP, which fits into an Ethernet frame,
    /// and 8,192 for Unix sockets, which is the size of the Datadog Agent's buffer.
    ///
    /// Over UDP, use 512 across the internet, or up to 8,932 in a network with jumbo frames. A sample that is larger is
    /// skipped.
    pub fn datagram_size(mut self, bytes: usize) -> Self {
        self.target.datagram_size = Some(bytes);
        self
    }

    fn with_new_totals(mut self) -> Self {
        self.target.differences = Arc::default();
        self
    }
}

push_methods!(StatsD, default name: "statsd", state: differences);

impl Server {
    fn check(&self) -> io::Result<()> {
        Address::parse(&self.address).map(drop)
    }

    /// Sends the current values, and waits for errors.
    fn send(
        &self,
        socket: &mut Socket<'_>,
        size: usize,
        differences: &mut Differences<Sent>,
        push: &PushContext<'_>,
    ) -> io::Result<()> {
        let mut lines = StatsDLines::new(self.dialect, &self.prefix, Datagrams::new(size), differences, push);
        let mut steps = push.scrape().begin();
        let mut has_more = true;
        while has_more {
            has_more = steps.step(&|_, _| true, &mut lines);
            if !has_more {
                lines.datagrams.close();
            }
            for datagram in lines.datagrams.take() {
                socket.send(&datagram)?;
            }
        }
        socket.end()
    }
}

impl PushTarget for Server {
    fn name(&self) -> &str {
        &self.name
    }

    fn push(&mut self, push: &PushContext<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
        let address = Address::parse(&self.address)?;
        let mut differences = self.differences.take(push)?;
        differences.begin();
        let mut socket = address.connect(&self.address, push)?;
        let size = self.datagram_size.unwrap_or(address.datagram_size());
        let sent = self.send(&mut socket, size, &mut differences, push);
        differences.commit(|datagram| sent.is_ok() || datagram < socket.delivered(), sent.is_ok());
        Ok(sent.map_err(|error| address::failed("cannot send everything to", &self.address, &error))?)
    }
}

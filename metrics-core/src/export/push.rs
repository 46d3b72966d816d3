//! Push targets: systems that receive a registry's metrics instead of scraping them.

pub(super) mod address;
mod backoff;
#[cfg(any(feature = "otlp", feature = "statsd"))]
pub(super) mod differences;
pub(super) mod options;
pub(super) mod path;
mod schedule;
mod self_metrics;
#[cfg(any(feature = "otlp", feature = "remote-write", feature = "statsd"))]
pub(super) mod state;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::registry::Registry;
use crate::registry::collect::context::DEFAULT_COLLECT_TIMEOUT;
use crate::registry::declared::UserCode;
use crate::registry::scrape::Scrape;
use schedule::Schedule;

/// The default interval between pushes.
const INTERVAL: Duration = Duration::from_secs(60);
/// The default timeout for a push.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest delay that a target can request with [`PushContext::retry_after`].
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

/// A system to which a registry's metrics are pushed.
///
/// An implementation only sends the metrics. A [`Pusher`] schedules, counts and logs the pushes, retries failed ones,
/// and handles shutdown. For Graphite, use [`GraphiteBridge`](crate::GraphiteBridge).
///
/// # Example: a custom target
///
/// ```
/// use std::error::Error;
/// use std::io::Write;
/// use std::net::TcpStream;
///
/// use metrics_core::{PushContext, Pusher, PushTarget};
///
/// /// Sends the text format over TCP.
/// struct Port(&'static str);
///
/// impl PushTarget for Port {
///     fn name(&self) -> &str {
///         "port"
///     }
///
///     fn push(&mut self, push: &PushContext<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
///         let mut stream = TcpStream::connect(self.0)?;
///         stream.set_write_timeout(Some(push.time_left()?))?;
///         stream.write_all(push.scrape().to_text().as_bytes())?;
///         Ok(())
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let pusher = Pusher::builder(Port("127.0.0.1:9999")).start()?;
/// # drop(pusher);
/// # Ok(())
/// # }
/// ```
pub trait PushTarget: Send + 'static {
    /// Returns the target's name, which becomes the value of the `target` label in the metrics of its [`Pusher`].
    fn name(&self) -> &str;

    /// Sends the current metrics once. This method may block for at most [`PushContext::time_left`].
    ///
    /// # Errors
    ///
    /// Returns an error if the metrics cannot be sent. The error is logged, so its message should name the system and
    /// help an operator fix the problem.
    fn push(&mut self, push: &PushContext<'_>) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// One push: the metrics to send, and the time left to send them.
pub struct PushContext<'a> {
    registry: &'a Registry,
    time: SystemTime,
    deadline: Instant,
    target: &'a str,
    /// True if shutdown has been requested.
    is_last: bool,
    /// The first skipped sample for each reason.
    skipped: RefCell<BTreeMap<&'static str, String>>,
    /// The time of the next push if this one fails.
    retry: Cell<Retry>,
}

/// The time of the next push after a failed one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Retry {
    /// After the back-off.
    #[default]
    BackOff,
    /// Not before this delay, even if a push is due earlier.
    After(Duration),
    /// At the next interval.
    Never,
}

impl<'a> PushContext<'a> {
    pub(super) fn new(registry: &'a Registry, target: &'a str, deadline: Instant) -> Self {
        let (skipped, retry) = (RefCell::default(), Cell::default());
        Self { registry, time: SystemTime::now(), deadline, target, is_last: false, skipped, retry }
    }

    /// Replaces the time of the push.
    #[cfg(test)]
    pub(super) fn at(self, time: SystemTime) -> Self {
        Self { time, ..self }
    }

    /// Returns a scrape of the registry. It waits for collectors for up to half of the remaining time, but no longer
    /// than 5 seconds.
    pub fn scrape(&self) -> Scrape<'a> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        self.registry.scrape().collector_timeout((left / 2).min(DEFAULT_COLLECT_TIMEOUT))
    }

    /// Returns the time at which the push began, according to the system clock. Use it as the timestamp of all samples.
    pub fn time(&self) -> SystemTime {
        self.time
    }

    /// Returns the time left for the push; use it as the timeout for blocking calls. It is never 0.
    ///
    /// # Errors
    ///
    /// Returns an error of kind [`TimedOut`](io::ErrorKind::TimedOut) if no time is left.
    pub fn time_left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::Error::new(io::ErrorKind::TimedOut, "the push timed out")) } else { Ok(left) }
    }

    /// Returns true if [`Pusher::shutdown`] was called, so that no push follows this one unless it fails.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// Delays the next push if this one fails, as an overloaded receiver may request.
    ///
    /// The next push waits for at least this long, even if the interval is shorter. Delays above 10 minutes are
    /// shortened to 10 minutes.
    pub fn retry_after(&self, delay: Duration) {
        self.retry.set(Retry::After(delay.min(LONGEST_RETRY_AFTER)));
    }

    /// Disables retries if this push fails, because a retry would fail as well. The next push follows at the next
    /// interval.
    pub fn do_not_retry(&self) {
        self.retry.set(Retry::Never);
    }

    /// Revokes [`PushContext::do_not_retry`]. Returns true if it was called.
    #[cfg(any(feature = "otlp", feature = "remote-write"))]
    pub(super) fn revoke_do_not_retry(&self) -> bool {
        let is_revoked = self.retry.get() == Retry::Never;
        if is_revoked {
            self.retry.set(Retry::BackOff);
        }
        is_revoked
    }

    /// Records that a sample is not sent because the target cannot represent it.
    ///
    /// The sample is counted in `metrics_core_push_samples_dropped_total`, and the first sample for each reason is
    /// logged. `reason` completes the sentence "skips the sample, which ..", as in `"is not a number"`.
    pub fn skip(&self, reason: &'static str, sample: &str) {
        self_metrics::dropped(self.target, 1);
        self.skipped.borrow_mut().entry(reason).or_insert_with(|| sample.to_owned());
    }

    /// Counts samples that the target has rejected.
    #[cfg(feature = "otlp")]
    pub(super) fn dropped(&self, samples: u64) {
        self_metrics::dropped(self.target, samples);
    }
}

impl fmt::Debug for PushContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushContext").field("time", &self.time).finish_non_exhaustive()
    }
}

/// Pushes a registry's metrics to a [`PushTarget`] at regular intervals. Dropping the pusher does not stop it.
///
/// The first push starts immediately, the second one after a random part of the interval, and further pushes follow
/// once per interval. Instances that start together therefore do not push together. Missed pushes are skipped. Pushes
/// to one target never overlap, and targets do not delay each other: one thread manages the schedules of all pushers,
/// and each push runs on a separate thread. The schedule uses a monotonic clock.
///
/// A failed push is retried with exponential back-off: after 1 second, 2 seconds, 4 seconds and so on, up to the
/// interval or one minute, whichever is shorter. Each delay is randomly shortened by up to half. A target can ask for a
/// longer delay or for no retry ([`PushContext::retry_after`], [`PushContext::do_not_retry`]). Each attempt sends the
/// current metrics, so nothing is queued during an outage and no counts are lost. During an outage, each cause of
/// failure is logged once. Recovery is logged as well.
///
/// | family | labels |
/// |---|---|
/// | `metrics_core_push_total` | `target`; `outcome`: `success`, `error`, `timeout` or `panic` |
/// | `metrics_core_push_last_success_timestamp_seconds` | `target`; 0 before the first success |
/// | `metrics_core_push_samples_dropped_total` | `target`; samples that the target cannot represent or rejects |
///
/// The global registry exports all of these series, starting at 0. To alert when pushes stop succeeding, use `time() -
/// metrics_core_push_last_success_timestamp_seconds > 300`.
#[derive(Debug)]
pub struct Pusher {
    schedule: Arc<Schedule>,
}

impl Pusher {
    /// Returns a builder for a pusher to this target.
    pub fn builder(target: impl PushTarget) -> PusherBuilder {
        PusherBuilder { target: Box::new(target), registry: None, interval: INTERVAL, timeout: TIMEOUT }
    }

    /// Stops the pusher after one last push.
    ///
    /// If this method returns `Ok`, everything that was recorded before the call has been sent. The call blocks for at
    /// most the push timeout. Within that time, it waits for a push in flight and retries the last push if it fails. If
    /// a signal terminates the process, everything recorded since the previous push is lost unless the process catches
    /// the signal and calls this method.
    ///
    /// # Errors
    ///
    /// Returns an error if the last push fails or does not finish in time, or if this process is a forked child of the
    /// process that started the pusher.
    pub fn shutdown(self) -> Result<(), PushError> {
        self.schedule.shutdown()
    }
}

/// A builder for a [`Pusher`].
#[must_use = "nothing is sent until `start` or `push` is called"]
pub struct PusherBuilder {
    target: Box<dyn PushTarget>,
    registry: Option<Registry>,
    interval: Duration,
    timeout: Duration,
}

impl PusherBuilder {
    /// Sets the registry whose metrics are pushed. The default is the global registry.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = Some(registry.clone());
        self
    }

    /// Sets the interval between pushes. The default is one minute.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets the timeout for each push. The default is 10 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Starts a pusher, which pushes immediately and then once per interval.
    ///
    /// # Errors
    ///
    /// Returns an error if the interval or the timeout is 0, or if no thread can be spawned. An unreachable target is
    /// not an error, because it may become reachable later.
    pub fn start(self) -> io::Result<Pusher> {
        for (what, duration) in [("interval", self.interval), ("timeout", self.timeout)] {
            if duration.is_zero() {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("the {what} of a pusher must not be 0"),
                ));
            }
        }
        let schedule = Arc::new(self.into_schedule());
        schedule.start()?;
        Ok(Pusher { schedule })
    }

    /// Pushes once on the calling thread. A failed push is neither retried nor logged.
    ///
    /// # Errors
    ///
    /// Returns an error if the push fails.
    pub fn push(self) -> Result<(), PushError> {
        self.into_schedule().push_once()
    }

    /// Pushes once, and retries a failed push within the timeout. Failures are logged.
    #[cfg(feature = "pushgateway")]
    pub(super) fn push_with_retries(self) -> Result<(), PushError> {
        Arc::new(self.into_schedule()).shutdown()
    }

    fn into_schedule(self) -> Schedule {
        let registry = self.registry.unwrap_or_else(|| Registry::global().clone());
        registry.initialize(UserCode::Now);
        Schedule::new(self.target, registry, self.interval, self.timeout)
    }
}

impl fmt::Debug for PusherBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PusherBuilder")
            .field("target", &self.target.name())
            .field("interval", &self.interval)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// An error from a push.
#[derive(Debug)]
#[non_exhaustive]
pub enum PushError {
    /// The target returned an error.
    Target {
        /// The target's name.
        target: String,
        /// The error that the target returned.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The target panicked.
    Panicked {
        /// The target's name.
        target: String,
    },
    /// The last push did not finish in time, and no earlier attempt at it failed.
    TimedOut {
        /// The target's name.
        target: String,
    },
    /// This process is a forked child of the process that started the pusher. The pusher does not run in the child.
    OtherProcess {
        /// The target's name.
        target: String,
    },
}

impl PushError {
    /// Returns the value of the `outcome` label.
    fn outcome(&self) -> &'static str {
        match self {
            Self::Target { source, .. } if is_timeout(source.as_ref()) => self_metrics::TIMEOUT,
            Self::Target { .. } | Self::OtherProcess { .. } => self_metrics::ERROR,
            Self::Panicked { .. } => self_metrics::PANIC,
            Self::TimedOut { .. } => self_metrics::TIMEOUT,
        }
    }
}

/// Returns true if the error or one of its sources is a timeout.
fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    // On Unix, a socket reports a timeout as `WouldBlock`.
    matches!(kind, Some(io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)) || error.source().is_some_and(is_timeout)
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target { target, source } => write!(f, "{target}: {source}"),
            Self::Panicked { target } => write!(f, "{target}: the target panicked"),
            Self::TimedOut { target } => write!(f, "{target}: the last push did not finish in time"),
            Self::OtherProcess { target } => {
                write!(f, "{target}: this pusher was started by another process; start a new one after `fork`")
            }
        }
    }
}

impl Error for PushError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Target { source, .. } => Some(source.as_ref()),
            Self::Panicked { .. } | Self::TimedOut { .. } | Self::OtherProcess { .. } => None,
        }
    }
}

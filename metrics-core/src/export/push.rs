//! Push targets: systems that receive the contents of a registry instead of scraping it.

mod backoff;
mod schedule;
mod self_metrics;

use std::cell::RefCell;
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

/// The time from one push to the next, if the user does not say.
const INTERVAL: Duration = Duration::from_secs(60);
/// How long one push may take, if the user does not say.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// A system that is sent what a registry shows, as Graphite is by a [`GraphiteBridge`](crate::GraphiteBridge).
///
/// What to send and how is all that an implementation has to know. A [`Pusher`] calls it again and again, keeps time,
/// tries again after an error, counts, logs and stops.
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
/// /// Sends the text format to a port.
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
    /// The value of label `target` in what a [`Pusher`] tells about itself.
    fn name(&self) -> &str;

    /// Sends what the registry shows now, once. It may block, for as long as [`PushContext::time_left`] says.
    ///
    /// # Errors
    ///
    /// Whatever has gone wrong, in words that tell an operator which system it is and what to do: it is logged.
    fn push(&mut self, push: &PushContext<'_>) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// One push: what there is to send, and how long there is.
pub struct PushContext<'a> {
    registry: &'a Registry,
    time: SystemTime,
    deadline: Instant,
    target: &'a str,
    /// The first skipped sample for each reason.
    skipped: RefCell<BTreeMap<&'static str, String>>,
}

impl<'a> PushContext<'a> {
    pub(super) fn new(registry: &'a Registry, target: &'a str, deadline: Instant) -> Self {
        Self { registry, time: SystemTime::now(), deadline, target, skipped: RefCell::default() }
    }

    /// The same at another time.
    #[cfg(test)]
    pub(super) fn at(self, time: SystemTime) -> Self {
        Self { time, ..self }
    }

    /// A scrape of the registry; it waits for collectors for half of the time that is left, and 5 seconds at most.
    pub fn scrape(&self) -> Scrape<'a> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        self.registry.scrape().collector_timeout((left / 2).min(DEFAULT_COLLECT_TIMEOUT))
    }

    /// When the push began, by the system's clock: the one time stamp of all that it sends.
    pub fn time(&self) -> SystemTime {
        self.time
    }

    /// How long the push may still take, to be given to whatever blocks; never 0.
    ///
    /// # Errors
    ///
    /// Of kind [`TimedOut`](io::ErrorKind::TimedOut), once there is no time left.
    pub fn time_left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err(io::Error::new(io::ErrorKind::TimedOut, "there was not enough time"))
        } else {
            Ok(left)
        }
    }

    /// Notes that a sample is not sent, since the target could not read it. It counts in
    /// `metrics_core_push_samples_dropped_total`, and the first for each reason is logged.
    pub fn skip(&self, reason: &'static str, sample: &str) {
        self_metrics::skipped(self.target);
        self.skipped.borrow_mut().entry(reason).or_insert_with(|| sample.to_owned());
    }
}

impl fmt::Debug for PushContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushContext").field("time", &self.time).finish_non_exhaustive()
    }
}

/// Sends what a registry shows to a [`PushTarget`], now and then. Dropping it leaves it going.
///
/// The first push is made at once, then one in each interval; one that was missed is not made up for. Pushes of one
/// target never overlap, and no target waits for another: one thread keeps the time of all, and each push runs on a
/// thread of its own that ends with it. The schedule goes by a clock that nobody can set.
///
/// A push that fails is tried again after a second, then after two, four and so on up to the interval (or a minute, where
/// that is shorter), each less a random part of up to a half. Each try sends what the registry shows then: totals are never
/// lost by an outage, and nothing is kept for later. The first failure of each kind is logged, and that it works again.
///
/// | family | labels |
/// |---|---|
/// | `metrics_core_push_total` | `target`; `outcome`: `success`, `error`, `timeout` or `panic` |
/// | `metrics_core_push_last_success_timestamp_seconds` | `target`; 0 before the first |
/// | `metrics_core_push_samples_dropped_total` | `target`; samples that it could not have read |
///
/// All of them are in the global registry, at 0 from the start. To be told when a target gets nothing any more:
/// `time() - metrics_core_push_last_success_timestamp_seconds > 300`.
#[derive(Debug)]
pub struct Pusher {
    schedule: Arc<Schedule>,
}

impl Pusher {
    /// Options of a pusher, and how to start it.
    pub fn builder(target: impl PushTarget) -> PusherBuilder {
        PusherBuilder { target: Box::new(target), registry: None, interval: INTERVAL, timeout: TIMEOUT }
    }

    /// Ends it, with a last push of what the registry shows now: whatever was recorded before is sent when this returns
    /// without an error.
    ///
    /// It blocks for as long as one push may take, at most; a push that fails is tried again until then, and one that is under
    /// way takes its share of that time. A process that is ended by a signal has to catch it and call this, or what came
    /// after the push before is not sent.
    ///
    /// # Errors
    ///
    /// Returns an error if the last push fails or is not done in time, or if the pusher was started by a process that this one
    /// was forked from.
    pub fn shutdown(self) -> Result<(), PushError> {
        self.schedule.shutdown()
    }
}

/// Options of a [`Pusher`].
#[must_use = "nothing is sent until `start` or `push` is called"]
pub struct PusherBuilder {
    target: Box<dyn PushTarget>,
    registry: Option<Registry>,
    interval: Duration,
    timeout: Duration,
}

impl PusherBuilder {
    /// The registry to send, if not the global one.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = Some(registry.clone());
        self
    }

    /// The time from one push to the next; a minute if not set.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How long one push may take; 10 seconds if not set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Pushes now and then, from now on.
    ///
    /// # Errors
    ///
    /// Returns an error if the interval or the timeout is 0, or if no thread can be spawned. An unreachable target is
    /// not an error here: it may come up later.
    pub fn start(self) -> io::Result<Pusher> {
        for (what, duration) in [("interval", self.interval), ("timeout", self.timeout)] {
            if duration.is_zero() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("the {what} of a pusher is 0")));
            }
        }
        let schedule = Arc::new(self.into_schedule());
        schedule.start()?;
        Ok(Pusher { schedule })
    }

    /// Pushes once, on this thread; nothing is tried again, and a failure is returned and not logged.
    ///
    /// # Errors
    ///
    /// Where that has failed.
    pub fn push(self) -> Result<(), PushError> {
        self.into_schedule().push_once()
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

/// Why something was not sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum PushError {
    /// The target's own error.
    Target {
        /// The target's name.
        target: String,
        /// What it said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The target panicked.
    Panicked {
        /// The target's name.
        target: String,
    },
    /// The last push was not done in time.
    TimedOut {
        /// The target's name.
        target: String,
    },
    /// The pusher was started by the process that this one was forked from. It does not run here.
    OtherProcess {
        /// The target's name.
        target: String,
    },
}

impl PushError {
    /// The value of label `outcome`.
    fn outcome(&self) -> &'static str {
        match self {
            Self::Target { source, .. } if is_timeout(source.as_ref()) => self_metrics::TIMEOUT,
            Self::Target { .. } | Self::OtherProcess { .. } => self_metrics::ERROR,
            Self::Panicked { .. } => self_metrics::PANIC,
            Self::TimedOut { .. } => self_metrics::TIMEOUT,
        }
    }
}

/// Whether the error, or what caused it, says that there was not enough time.
fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    // The second is what a socket on Unix says whose timeout is over.
    matches!(kind, Some(io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)) || error.source().is_some_and(is_timeout)
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target { target, source } => write!(f, "{target}: {source}"),
            Self::Panicked { target } => write!(f, "{target}: the target panicked"),
            Self::TimedOut { target } => write!(f, "{target}: the last push was not done in time"),
            Self::OtherProcess { target } => {
                write!(f, "{target}: another process has started this pusher; start one after `fork`")
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

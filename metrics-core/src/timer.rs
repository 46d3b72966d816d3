//! Timing of blocks of code and of futures, for whatever takes durations.

use std::future::Future;
use std::time::Duration;

use crate::clock::{self, Moment};
use crate::histogram::Histogram;
use crate::summary::Summary;

/// A metric that takes observations.
#[derive(Clone, Debug)]
enum Observer {
    Summary(Summary),
    Histogram(Histogram),
}

/// Measures the time from its start, and observes it, in seconds, when it is dropped: on panic and cancellation too.
///
/// # Example: a timer that is not always wanted
///
/// ```
/// use metrics_core::Summary;
///
/// let latency = Summary::builder("lookup_latency_seconds", "Latency of look-ups.").build();
/// let timer = latency.start_timer();
/// let found_in_cache = true;
/// if found_in_cache {
///     timer.discard();
/// } else {
///     timer.stop();
/// }
/// assert_eq!(latency.count(), 0);
/// ```
#[derive(Debug)]
#[must_use = "a timer observes the time until it is dropped"]
pub struct Timer {
    /// `None` once the timer has observed or was discarded.
    observer: Option<Observer>,
    start: Moment,
}

impl Timer {
    /// Observes the time since the start, and returns it.
    pub fn stop(mut self) -> Duration {
        clock::duration(self.observe())
    }

    /// Ends the timer without observing anything.
    pub fn discard(mut self) {
        self.observer = None;
    }

    /// Observes the time since the start, in seconds, and returns it.
    fn observe(&mut self) -> f64 {
        let seconds = self.start.seconds();
        match self.observer.take() {
            Some(Observer::Summary(summary)) => summary.observe(seconds),
            Some(Observer::Histogram(histogram)) => histogram.observe(seconds),
            None => {}
        }
        seconds
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.observe();
    }
}

macro_rules! timing {
    ($metric:ident) => {
        impl $metric {
            /// Starts a timer, whose time is observed, in seconds, when it is stopped or dropped.
            pub fn start_timer(&self) -> Timer {
                Timer { observer: Some(Observer::$metric(self.clone())), start: Moment::now() }
            }

            /// Runs `f`, observes how long it took, in seconds, and gives back what it returns.
            ///
            /// A call that panics is observed too.
            pub fn time<R>(&self, f: impl FnOnce() -> R) -> R {
                let _timer = self.start_timer();
                f()
            }

            /// Awaits `future`, observes how long it took from its first poll, in seconds, and gives back its output.
            ///
            /// A future that panics or is dropped after its first poll is observed too.
            pub fn time_future<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
                let metric = self.clone();
                async move {
                    let _timer = metric.start_timer();
                    future.await
                }
            }
        }
    };
}

timing!(Summary);
timing!(Histogram);

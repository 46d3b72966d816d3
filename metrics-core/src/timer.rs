//! Timers for blocks of code and for futures.

use std::future::Future;
use std::time::Duration;

use crate::cell::{self, Handle};
use crate::clock::{self, Moment};
use crate::histogram::Histogram;
use crate::summary::Summary;

/// The series that takes an observation. Its number is enough: counting a reference would be a word that threads share.
#[derive(Clone, Copy, Debug)]
enum Observer {
    Summary(Handle),
    Histogram(Handle, &'static [f64]),
}

impl Observer {
    fn observe(self, seconds: f64) {
        match self {
            Self::Summary(handle) => cell::summary::observe(handle, seconds),
            Self::Histogram(handle, bounds) => cell::histogram::observe(handle, bounds, seconds),
        }
    }

    fn start(self) -> Timer {
        Timer { observer: Some(self), start: Moment::now() }
    }
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
        let seconds = self.start.seconds();
        if let Some(observer) = self.observer.take() {
            observer.observe(seconds);
        }
        clock::duration(seconds)
    }

    /// Ends the timer without observing anything.
    pub fn discard(mut self) {
        self.observer = None;
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(observer) = self.observer.take() {
            observer.observe(self.start.seconds());
        }
    }
}

impl Summary {
    fn observer(&self) -> Observer {
        Observer::Summary(self.cell().0)
    }
}

impl Histogram {
    fn observer(&self) -> Observer {
        let (handle, bounds, _) = self.cell();
        Observer::Histogram(handle, bounds)
    }
}

macro_rules! timing {
    ($metric:ident) => {
        impl $metric {
            /// Starts a timer, whose time is observed, in seconds, when it is stopped or dropped.
            pub fn start_timer(&self) -> Timer {
                self.observer().start()
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
                let observer = self.observer();
                async move {
                    let _timer = observer.start();
                    future.await
                }
            }
        }
    };
}

timing!(Summary);
timing!(Histogram);

//! Timers for blocks of code and for futures.

use std::future::Future;
use std::time::Duration;

use crate::cell::{self, Buckets, Handle};
use crate::clock::{self, Moment};
use crate::histogram::Histogram;
use crate::summary::Summary;

/// The series that a timer records into. Omits the series' owner, because threads would otherwise contend for its
/// reference count.
#[derive(Clone, Copy, Debug)]
struct Observer {
    handle: Handle,
    buckets: Option<&'static Buckets>,
}

impl Observer {
    fn observe(self, seconds: f64) {
        cell::observe(self.handle, self.buckets, seconds);
    }

    fn start(self) -> Timer {
        Timer { observer: Some(self), start: Moment::now() }
    }
}

/// A timer that observes the elapsed time, in seconds, when it is dropped, including by a panic or a cancellation.
///
/// # Example: discarding a timer
///
/// ```
/// use metrics_core::Summary;
///
/// let latency = Summary::builder("lookup_latency_seconds", "Latency of lookups.").build();
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
    /// `None` once the timer has been stopped or discarded.
    observer: Option<Observer>,
    start: Moment,
}

impl Timer {
    /// Stops the timer, observes the elapsed time, and returns it.
    pub fn stop(mut self) -> Duration {
        let seconds = self.start.seconds();
        if let Some(observer) = self.observer.take() {
            observer.observe(seconds);
        }
        clock::duration(seconds)
    }

    /// Stops the timer without observing the elapsed time.
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

macro_rules! timing {
    ($metric:ident) => {
        impl $metric {
            fn observer(&self) -> Observer {
                let (handle, buckets, _) = self.cell();
                Observer { handle, buckets }
            }

            /// Starts a timer that observes the elapsed time, in seconds, when it is stopped or dropped.
            pub fn start_timer(&self) -> Timer {
                self.observer().start()
            }

            /// Runs `f`, observes its duration in seconds, and returns its result.
            ///
            /// If `f` panics, its duration is observed as well.
            pub fn time<R>(&self, f: impl FnOnce() -> R) -> R {
                let _timer = self.start_timer();
                f()
            }

            /// Awaits `future`, observes the time since its first poll, in seconds, and returns its output.
            ///
            /// If the future panics or is dropped after its first poll, the time is observed as well.
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

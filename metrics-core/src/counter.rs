//! The counter: a count of events that only goes up.

use std::fmt;
use std::future::Future;
use std::panic::Location;

use crate::amount::Amount;
use crate::cell::counter::Total;
use crate::cell::{Handle, access, counter as cell};
use crate::internal::InternalError;
use crate::kind::Kind;
use crate::metric::{MetricVTable, OptionalOwner, sealed};
use crate::sample::{Number, Value};

/// A count that only goes up: requests, errors, bytes sent.
///
/// Its name ends in `_total` by convention. Whole amounts are counted exactly up to `u64::MAX`, past 2^53 too.
///
/// # Example: counting
///
/// ```
/// use metrics_core::Counter;
///
/// let sent = Counter::builder("bytes_sent_total", "Bytes sent.").build();
/// sent.inc();
/// sent.inc_by(2.5);
/// assert_eq!(sent.value(), 3.5);
/// ```
#[derive(Clone)]
pub struct Counter {
    handle: Handle,
    owner: OptionalOwner,
}

impl Counter {
    /// Adds 1.
    #[inline]
    pub fn inc(&self) {
        cell::add_whole(self.handle, 1);
    }

    /// Adds `amount`.
    ///
    /// NaN, infinities and negative amounts are ignored; each counts in
    /// `metrics_core_internal_errors_total{kind="invalid_amount"}`.
    #[inline]
    #[track_caller]
    pub fn inc_by(&self, amount: impl Amount) {
        if let Some(whole) = amount.as_whole() {
            cell::add_whole(self.handle, whole);
            return;
        }
        let amount = amount.as_f64();
        if amount.is_finite() && amount >= 0.0 {
            cell::add_fraction(self.handle, amount);
        } else {
            InternalError::InvalidAmount.record(&Location::caller());
        }
    }

    /// The count so far, of all threads; 0 once the series is removed.
    #[must_use]
    pub fn value(&self) -> f64 {
        let total = cell::read(self.handle);
        // What is read while the series ends is neither its value nor 0.
        if access::is_live(self.handle) { number(total).as_f64() } else { 0.0 }
    }

    /// The series, the bounds of its buckets where it has some, and what keeps it.
    pub(crate) fn cell(&self) -> (Handle, &'static [f64], &OptionalOwner) {
        (self.handle, &[], &self.owner)
    }

    /// Runs `f`, counts one if it returns `Err` or panics, and gives back what it returns.
    ///
    /// # Example: errors of a parser
    ///
    /// ```
    /// use metrics_core::Counter;
    ///
    /// let failures = Counter::builder("parse_failures_total", "Numbers that could not be parsed.").build();
    /// let parsed = failures.count_exceptions(|| "seven".parse::<u32>());
    /// assert!(parsed.is_err());
    /// assert_eq!(failures.value(), 1.0);
    /// ```
    pub fn count_exceptions<T, E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let result = self.count_panics(f);
        if result.is_err() {
            self.inc();
        }
        result
    }

    /// Runs `f`, counts one if it panics, and gives back what it returns.
    pub fn count_panics<R>(&self, f: impl FnOnce() -> R) -> R {
        let unwinding = IncOnDrop(self);
        let result = f();
        std::mem::forget(unwinding);
        result
    }

    /// Awaits `future`, counts one if it ends with `Err` or panics, and gives back its output.
    ///
    /// A future that is dropped before it ends counts nothing.
    pub fn count_exceptions_future<T, E, F>(&self, future: F) -> impl Future<Output = Result<T, E>> + use<T, E, F>
    where
        F: Future<Output = Result<T, E>>,
    {
        // Without the owner, whose references all threads would count in one word.
        let counter = Self { handle: self.handle, owner: None };
        async move {
            let mut future = std::pin::pin!(future);
            std::future::poll_fn(|cx| {
                let polled = counter.count_panics(|| future.as_mut().poll(cx));
                if let std::task::Poll::Ready(Err(_)) = &polled {
                    counter.inc();
                }
                polled
            })
            .await
        }
    }
}

struct IncOnDrop<'a>(&'a Counter);

impl Drop for IncOnDrop<'_> {
    fn drop(&mut self) {
        self.0.inc();
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counter").field("value", &self.value()).finish_non_exhaustive()
    }
}

impl sealed::Metric for Counter {
    const VTABLE: &'static MetricVTable = &MetricVTable {
        kind: Kind::Counter,
        allocate: |_| cell::allocate(),
        free: |handle, _| access::free(handle, cell::WORDS),
        read: |handles, _, readings| cell::read_all(handles, &mut readings.counters),
        value: |readings, at| Value::Counter(number(readings.counters[at])),
        are_live: access::are_live,
    };

    fn from_cell(handle: Handle, _: &'static [f64], owner: OptionalOwner) -> Self {
        Self { handle, owner }
    }
}

/// A total as one number. Past 2^53 fractions are below what an `f64` tells apart, and the whole number is exact.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a fraction is not negative; `as` saturates"
)]
pub(crate) fn number(total: Total) -> Number {
    let Total { whole, fraction } = total;
    if fraction == 0.0 {
        Number::Whole(whole)
    } else if whole >= 1 << 53 {
        Number::Whole(whole.saturating_add(fraction as u64))
    } else {
        Number::Float(whole as f64 + fraction)
    }
}

//! The counter: a count of events that only goes up.

use std::fmt;
use std::future::Future;
use std::panic::Location;

use crate::amount::Amount;
use crate::cell::counter::Total;
use crate::cell::{Buckets, Handle, access, counter as cell};
use crate::clock::Moment;
use crate::exemplars;
use crate::internal::InternalError;
use crate::kind::Kind;
use crate::label_value::LabelValue;
use crate::metric::{MetricVTable, OptionalOwner, Readings, sealed};
use crate::sample::{Number, Value};

/// A count that only goes up: requests, errors, bytes sent.
///
/// By convention, counter names end in `_total`. Whole amounts are counted exactly up to `u64::MAX`, even
/// beyond 2^53.
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
    /// NaN, infinities and negative amounts are ignored, and each occurrence is counted in
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

    /// Adds 1, and keeps `labels` as an exemplar if the latest one is at least a second old.
    ///
    /// `labels` is called only when an exemplar is due, and returns pairs of names and values. If it returns none, a
    /// later increment tries again, after at least a millisecond. The names and values may have at most 128 characters
    /// in total. If the labels are invalid or too long, or if `labels` panics, the increment is counted without an
    /// exemplar, and the error is counted in `metrics_core_internal_errors_total`. See
    /// [`guide::exemplars`](crate::guide::exemplars).
    ///
    /// # Example: the request that failed
    ///
    /// ```
    /// use metrics_core::Counter;
    ///
    /// let failures = Counter::builder("payment_failures_total", "Payments that failed.").build();
    /// failures.inc_with_exemplar(|| [("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736")]);
    /// assert_eq!(failures.value(), 1.0);
    /// ```
    #[track_caller]
    pub fn inc_with_exemplar<L, N, V>(&self, labels: impl FnOnce() -> L)
    where
        L: IntoIterator<Item = (N, V)>,
        N: AsRef<str>,
        V: LabelValue,
    {
        self.inc();
        exemplars::counted(self.handle, 1.0, labels, &Location::caller());
    }

    /// Like [`Counter::inc_with_exemplar`], but adds `amount`. An invalid amount is ignored, as in
    /// [`Counter::inc_by`], together with its exemplar.
    #[track_caller]
    pub fn inc_by_with_exemplar<L, N, V>(&self, amount: impl Amount, labels: impl FnOnce() -> L)
    where
        L: IntoIterator<Item = (N, V)>,
        N: AsRef<str>,
        V: LabelValue,
    {
        let value = amount.as_f64();
        self.inc_by(amount);
        if value.is_finite() && value >= 0.0 {
            exemplars::counted(self.handle, value, labels, &Location::caller());
        }
    }

    /// Adds 1. Keeps an exemplar of the `earlier` trace if there is one, or else of the current trace if one is due.
    #[cfg_attr(not(any(feature = "tower", feature = "actix")), allow(dead_code, reason = "only layers use it"))]
    pub(crate) fn inc_in_trace(&self, earlier: &[(String, String)]) {
        self.inc();
        if !earlier.is_empty() {
            exemplars::keep_trace(self.handle, None, 1.0, earlier);
        } else if exemplars::has_source() {
            exemplars::counted_in_trace(self.handle, Moment::now());
        }
    }

    /// Returns the labels of the current trace if `is_counted` returns true and an exemplar is due, otherwise an empty
    /// list. `is_counted` is called only if exemplars are enabled.
    #[cfg_attr(not(any(feature = "tower", feature = "actix")), allow(dead_code, reason = "only layers use it"))]
    pub(crate) fn trace_if_due(&self, is_counted: impl FnOnce() -> bool) -> Vec<(String, String)> {
        if exemplars::has_source() && is_counted() {
            exemplars::trace_if_due(self.handle, None, 1.0)
        } else {
            Vec::new()
        }
    }

    /// Returns the total across all threads, or 0 if the series has been removed.
    #[must_use]
    pub fn value(&self) -> f64 {
        let total = cell::read(self.handle);
        // A read that overlaps the removal of the series returns a partial total.
        if access::is_live(self.handle) { number(total).as_f64() } else { 0.0 }
    }

    /// Returns the handle, the buckets (always `None`), and the owner of the series.
    pub(crate) fn cell(&self) -> (Handle, Option<&'static Buckets>, &OptionalOwner) {
        (self.handle, None, &self.owner)
    }

    /// Runs `f` and returns its result. Adds 1 if `f` returns `Err` or panics.
    ///
    /// # Example: counting parse errors
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

    /// Runs `f` and returns its result. Adds 1 if `f` panics.
    pub fn count_panics<R>(&self, f: impl FnOnce() -> R) -> R {
        let unwinding = IncOnDrop(self);
        let result = f();
        std::mem::forget(unwinding);
        result
    }

    /// Awaits `future` and returns its output. Adds 1 if the output is `Err` or if the future panics.
    ///
    /// A future that is dropped before it completes is not counted.
    pub fn count_exceptions_future<T, E, F>(&self, future: F) -> impl Future<Output = Result<T, E>> + use<T, E, F>
    where
        F: Future<Output = Result<T, E>>,
    {
        // Omits the owner, because all threads would contend for its reference count.
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
        states: &[],
        allocate: |_| cell::allocate(),
        free: |handle, _| {
            access::free(handle, cell::WORDS);
            exemplars::forget(handle, 1);
        },
        read: |handles, _, readings| cell::read_all(handles, &mut readings.counters),
        value,
        are_live: access::are_live,
    };

    fn from_cell(handle: Handle, _: Option<&'static Buckets>, owner: OptionalOwner) -> Self {
        Self { handle, owner }
    }
}

/// The value of the series at this position in a reading of counters.
#[inline]
pub(crate) fn value(readings: &Readings, at: usize) -> Value<'_> {
    Value::Counter(number(readings.counters[at]))
}

/// Converts a total to a single number. From 2^53 on, an `f64` cannot represent fractions, so the result is an integer
/// unless a huge fractional part makes it exceed a `u64`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a fraction is not negative; `as` saturates"
)]
pub(crate) fn number(total: Total) -> Number {
    let Total { whole, fraction } = total;
    let sum = whole as f64 + fraction;
    if fraction == 0.0 {
        Number::Whole(whole)
    } else if whole >= 1 << 53 && sum <= u64::MAX as f64 {
        Number::Whole(whole.saturating_add(fraction as u64))
    } else {
        Number::Float(sum)
    }
}

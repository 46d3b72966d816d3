//! The gauge: a number that goes up and down.

use std::fmt;
use std::time::SystemTime;

use crate::amount::Amount;
use crate::cell::{Buckets, Handle, gauge as cell};
use crate::kind::Kind;
use crate::metric::{MetricVTable, OptionalOwner, sealed};
use crate::sample::Value;

/// A number that goes up and down: a queue's length, a temperature, requests in flight.
///
/// All threads share one slot, so concurrent calls to [`Gauge::set`] and [`Gauge::add`] have a defined order.
///
/// # Example: a queue
///
/// ```
/// use metrics_core::Gauge;
///
/// let length = Gauge::builder("queue_length", "Jobs waiting.").build();
/// length.set(3);
/// length.dec();
/// assert_eq!(length.value(), 2.0);
/// ```
#[derive(Clone)]
pub struct Gauge {
    handle: Handle,
    owner: OptionalOwner,
}

impl Gauge {
    /// Adds 1.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Subtracts 1.
    pub fn dec(&self) {
        self.sub(1);
    }

    /// Adds `amount`, which may be negative.
    pub fn add(&self, amount: impl Amount) {
        let amount = amount.as_f64();
        cell::update(self.handle, |value| value + amount);
    }

    /// Subtracts `amount`, which may be negative.
    pub fn sub(&self, amount: impl Amount) {
        let amount = amount.as_f64();
        cell::update(self.handle, |value| value - amount);
    }

    /// Sets the value, which may be NaN or infinite.
    pub fn set(&self, value: impl Amount) {
        let value = value.as_f64();
        cell::update(self.handle, |_| value);
    }

    /// Sets the value to the current time, in seconds since the Unix epoch.
    pub fn set_to_current_time(&self) {
        self.set(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    }

    /// Returns the value, or 0 if the series has been removed.
    #[must_use]
    pub fn value(&self) -> f64 {
        cell::read(self.handle).unwrap_or_default()
    }

    /// Returns the handle, the buckets (always `None`), and the owner of the series.
    pub(crate) fn cell(&self) -> (Handle, Option<&'static Buckets>, &OptionalOwner) {
        (self.handle, None, &self.owner)
    }

    /// Adds 1, and subtracts it again when the returned guard is dropped, including during a panic or when a future is
    /// canceled.
    ///
    /// # Example: requests in flight
    ///
    /// ```
    /// use metrics_core::Gauge;
    ///
    /// let in_flight = Gauge::builder("requests_in_flight", "Requests being handled.").build();
    /// let guard = in_flight.track_in_flight();
    /// assert_eq!(in_flight.value(), 1.0);
    /// drop(guard);
    /// assert_eq!(in_flight.value(), 0.0);
    /// ```
    pub fn track_in_flight(&self) -> InFlight {
        self.inc();
        // Omits the owner, because all threads would contend for its reference count.
        InFlight { gauge: Self { handle: self.handle, owner: None } }
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gauge").field("value", &self.value()).finish_non_exhaustive()
    }
}

/// The guard returned by [`Gauge::track_in_flight`]. It subtracts 1 from the gauge when it is dropped.
#[derive(Debug)]
#[must_use = "the gauge goes down again when the guard is dropped"]
pub struct InFlight {
    gauge: Gauge,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

impl sealed::Metric for Gauge {
    const VTABLE: &'static MetricVTable = &MetricVTable {
        kind: Kind::Gauge,
        states: &[],
        allocate: |_| cell::allocate(),
        free: |handle, _| cell::free(handle),
        read: |handles, _, readings| {
            readings.gauges.clear();
            readings.gauges.extend(handles.iter().map(|handle| cell::read(*handle).unwrap_or_default()));
        },
        value: |readings, at| Value::Gauge(readings.gauges[at]),
        are_live: |handles, live| {
            live.clear();
            live.extend(handles.iter().map(|handle| cell::read(*handle).is_some()));
        },
    };

    fn from_cell(handle: Handle, _: Option<&'static Buckets>, owner: OptionalOwner) -> Self {
        Self { handle, owner }
    }
}

//! The summary: the count and sum of observations.

use std::fmt;
use std::panic::Location;

use crate::amount::Amount;
use crate::cell::{self as cells, Buckets, Handle, access, summary as cell};
use crate::internal::InternalError;
use crate::kind::Kind;
use crate::metric::{MetricVTable, OptionalOwner, sealed};
use crate::sample::Value;

/// The count and sum of observations, such as latencies in seconds. PromQL derives the rate and the mean from them.
///
/// In each scrape, the count and sum are consistent with each other.
///
/// # Example: timing a block
///
/// ```
/// use metrics_core::Summary;
///
/// let latency = Summary::builder("step_latency_seconds", "Latency of a step.").build();
/// let answer = latency.time(|| 42);
/// assert_eq!(answer, 42);
/// assert_eq!(latency.count(), 1);
/// ```
#[derive(Clone)]
pub struct Summary {
    handle: Handle,
    owner: OptionalOwner,
}

impl Summary {
    /// Adds one observation. Durations are observed in seconds.
    ///
    /// NaN and infinities are ignored, and each occurrence is counted in
    /// `metrics_core_internal_errors_total{kind="invalid_observation"}`.
    #[inline]
    #[track_caller]
    pub fn observe(&self, value: impl Amount) {
        observe(self.handle, None, value.as_f64());
    }

    /// Returns the handle, the buckets (`None` except for histograms), and the owner of the series.
    pub(crate) fn cell(&self) -> (Handle, Option<&'static Buckets>, &OptionalOwner) {
        (self.handle, None, &self.owner)
    }

    /// Returns the number of observations across all threads, or 0 if the series has been removed.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.read().count
    }

    /// Returns the sum of all observations, or 0 if the series has been removed.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.read().sum
    }

    fn read(&self) -> cell::Total {
        let total = cell::read(self.handle);
        // A read that overlaps the removal of the series returns a partial total.
        if access::is_live(self.handle) { total } else { cell::Total::default() }
    }
}

/// Adds one observation to a series with these buckets.
#[inline]
#[track_caller]
pub(crate) fn observe(handle: Handle, buckets: Option<&'static Buckets>, value: f64) {
    if value.is_finite() {
        cells::observe(handle, buckets, value);
    } else {
        InternalError::InvalidObservation.record(&Location::caller());
    }
}

impl fmt::Debug for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.read();
        f.debug_struct("Summary").field("count", &total.count).field("sum", &total.sum).finish_non_exhaustive()
    }
}

impl sealed::Metric for Summary {
    const VTABLE: &'static MetricVTable = &MetricVTable {
        kind: Kind::Summary,
        allocate: |_| cell::allocate(),
        free: |handle, _| access::free(handle, cell::WORDS),
        read: |handles, _, readings| cell::read_all(handles, &mut readings.summaries),
        value: |readings, at| {
            let cell::Total { count, sum } = readings.summaries[at];
            Value::Summary { count, sum, quantiles: &[] }
        },
        are_live: access::are_live,
    };

    fn from_cell(handle: Handle, _: Option<&'static Buckets>, owner: OptionalOwner) -> Self {
        Self { handle, owner }
    }
}

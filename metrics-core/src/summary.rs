//! The summary: the count and sum of observations.

use std::fmt;
use std::panic::Location;
use std::time::Instant;

use crate::amount::Amount;
use crate::cell::distribution_reader::Distribution;
use crate::cell::{self, Buckets, Handle, access, distribution_reader, summary};
use crate::clock::Moment;
use crate::exemplars;
use crate::internal::InternalError;
use crate::kind::Kind;
use crate::metric::{MetricVTable, OptionalOwner, Readings, sealed};
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
    buckets: Option<&'static Buckets>,
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
        observe(self.handle, self.buckets, value.as_f64());
    }

    /// Adds one observation. If this is a histogram, keeps an exemplar of the `earlier` trace if there is one, or else
    /// of the current trace if one is due.
    #[cfg_attr(not(any(feature = "tower", feature = "actix")), allow(dead_code, reason = "only layers use it"))]
    pub(crate) fn observe_in_trace(&self, value: f64, earlier: &[(String, String)]) {
        observe(self.handle, self.buckets, value);
        match self.buckets {
            Some(buckets) if buckets.classic() > 0 && !earlier.is_empty() => {
                exemplars::keep_trace(self.handle, Some(buckets), value, earlier);
            }
            Some(buckets) if exemplars::has_source() => {
                exemplars::observed_in_trace(self.handle, buckets, value, Moment::now());
            }
            _ => {}
        }
    }

    /// Returns the labels of the current trace if this is a histogram and an exemplar of this value is due, otherwise
    /// an empty list. `value` is called only if exemplars are enabled.
    #[cfg_attr(not(any(feature = "tower", feature = "actix")), allow(dead_code, reason = "only layers use it"))]
    pub(crate) fn trace_if_due(&self, value: impl FnOnce() -> f64) -> Vec<(String, String)> {
        match self.buckets {
            Some(buckets) if buckets.classic() > 0 && exemplars::has_source() => {
                exemplars::trace_if_due(self.handle, Some(buckets), value())
            }
            _ => Vec::new(),
        }
    }

    /// Returns the handle, the buckets (`None` without quantiles), and the owner of the series.
    pub(crate) fn cell(&self) -> (Handle, Option<&'static Buckets>, &OptionalOwner) {
        (self.handle, self.buckets, &self.owner)
    }

    /// Returns the number of observations across all threads, or 0 if the series has been removed.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.read().0
    }

    /// Returns the sum of all observations, or 0 if the series has been removed.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.read().1
    }

    fn read(&self) -> (u64, f64) {
        let mut readings = Readings::default();
        read(&[self.handle], self.buckets, &mut readings);
        match value(&readings, 0) {
            // A read that overlaps the removal of the series returns a partial total.
            Value::Summary { count, sum, .. } if access::is_live(self.handle) => (count, sum),
            _ => (0, 0.0),
        }
    }
}

/// Adds one observation to a series with these buckets.
#[inline]
#[track_caller]
pub(crate) fn observe(handle: Handle, buckets: Option<&'static Buckets>, value: f64) {
    if value.is_finite() {
        cell::observe(handle, buckets, value);
    } else {
        InternalError::InvalidObservation.record(&Location::caller());
    }
}

impl fmt::Debug for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, sum) = self.read();
        f.debug_struct("Summary").field("count", &count).field("sum", &sum).finish_non_exhaustive()
    }
}

impl sealed::Metric for Summary {
    const VTABLE: &'static MetricVTable = &MetricVTable {
        kind: Kind::Summary,
        states: &[],
        allocate: cell::allocate,
        free: cell::free,
        read,
        value,
        are_live: access::are_live,
    };

    fn from_cell(handle: Handle, buckets: Option<&'static Buckets>, owner: OptionalOwner) -> Self {
        Self { handle, buckets, owner }
    }
}

fn read(handles: &[Handle], buckets: Option<&'static Buckets>, readings: &mut Readings) {
    let Readings { summaries, distributions, .. } = readings;
    if buckets.is_some() {
        distribution_reader::read_all(handles, Instant::now(), distributions);
    } else {
        distributions.clear();
        summary::read_all(handles, summaries);
    }
}

fn value(readings: &Readings, at: usize) -> Value<'_> {
    match readings.distributions.get(at) {
        Some(Distribution { count, sum, quantiles, .. }) => Value::Summary { count: *count, sum: *sum, quantiles },
        None => {
            let summary::Total { count, sum } = readings.summaries[at];
            Value::Summary { count, sum, quantiles: &[] }
        }
    }
}

//! The classic histogram: observations counted in buckets.

use std::fmt;

use crate::amount::Amount;
use crate::cell::{Buckets, Handle, access, histogram as cell};
use crate::kind::Kind;
use crate::metric::{MetricVTable, OptionalOwner, Readings, sealed};
use crate::sample::Value;
use crate::summary::observe;

/// Observations counted in buckets, together with their total count and sum. PromQL estimates quantiles from the
/// buckets.
///
/// In each scrape, the count, sum and buckets are consistent with each other. If observations arrive continuously, a
/// few of the latest observations may appear in a lower bucket until the next scrape.
///
/// # Example: sizes
///
/// ```
/// use metrics_core::Histogram;
///
/// let sizes = Histogram::builder("upload_size_bytes", "Size of uploads.")
///     .buckets([1e3, 1e6, 1e9])
///     .build();
/// sizes.observe(20_000);
/// assert_eq!(sizes.count(), 1);
/// ```
#[derive(Clone)]
pub struct Histogram {
    handle: Handle,
    buckets: &'static Buckets,
    owner: OptionalOwner,
}

impl Histogram {
    /// Adds one observation to the first bucket whose upper bound is not less than `value`.
    ///
    /// Durations are observed in seconds. NaN and infinities are ignored, and each occurrence is counted in
    /// `metrics_core_internal_errors_total{kind="invalid_observation"}`.
    #[inline]
    #[track_caller]
    pub fn observe(&self, value: impl Amount) {
        observe(self.handle, Some(self.buckets), value.as_f64());
    }

    /// Returns the handle, the buckets, and the owner of the series.
    pub(crate) fn cell(&self) -> (Handle, Option<&'static Buckets>, &OptionalOwner) {
        (self.handle, Some(self.buckets), &self.owner)
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
        let mut totals = cell::Totals::default();
        cell::read_all(&[self.handle], self.buckets, &mut totals);
        // A read that overlaps the removal of the series returns partial totals.
        if access::is_live(self.handle) { (totals.counts.iter().sum(), totals.sums[0]) } else { (0, 0.0) }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, sum) = self.read();
        f.debug_struct("Histogram").field("count", &count).field("sum", &sum).finish_non_exhaustive()
    }
}

impl sealed::Metric for Histogram {
    const VTABLE: &'static MetricVTable = &MetricVTable {
        kind: Kind::Histogram,
        allocate: |buckets| cell::allocate(of_histogram(buckets)),
        free: |handle, buckets| cell::free(handle, of_histogram(buckets)),
        read,
        value,
        are_live: access::are_live,
    };

    fn from_cell(handle: Handle, buckets: Option<&'static Buckets>, owner: OptionalOwner) -> Self {
        Self { handle, buckets: of_histogram(buckets), owner }
    }
}

/// Returns the buckets of a histogram, which every histogram has.
fn of_histogram(buckets: Option<&'static Buckets>) -> &'static Buckets {
    static WITHOUT_BOUNDS: Buckets = Buckets { bounds: Vec::new() };
    buckets.unwrap_or(&WITHOUT_BOUNDS)
}

fn read(handles: &[Handle], buckets: Option<&'static Buckets>, readings: &mut Readings) {
    let (Readings { histograms, cumulative, .. }, buckets) = (readings, of_histogram(buckets));
    cell::read_all(handles, buckets, histograms);
    let bounds = &buckets.bounds;
    cumulative.clear();
    for own in histograms.counts.chunks(bounds.len() + 1) {
        let mut count = 0;
        cumulative.extend(bounds.iter().chain([&f64::INFINITY]).zip(own).map(|(bound, own)| {
            count += own;
            (*bound, count)
        }));
    }
}

fn value(readings: &Readings, at: usize) -> Value<'_> {
    let Readings { histograms, cumulative, .. } = readings;
    let len = cumulative.len() / histograms.sums.len();
    let buckets = &cumulative[at * len..][..len];
    Value::Histogram { count: buckets[len - 1].1, sum: histograms.sums[at], buckets }
}

//! The classic histogram: observations counted in buckets.

use std::fmt;
use std::panic::Location;
use std::sync::Mutex;

use crate::amount::Amount;
use crate::cell::{Handle, access, histogram as cell};
use crate::internal::InternalError;
use crate::kind::Kind;
use crate::lock::lock;
use crate::metric::{MetricVTable, OptionalOwner, Readings, sealed};
use crate::sample::Value;

/// The default upper bounds of a histogram's buckets, for latencies in seconds; `+Inf` is implied.
///
/// These are the bounds that OpenTelemetry's semantic conventions recommend for `http.server.request.duration`.
pub const DEFAULT_BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// The maximum number of bounds. Each bound adds a series in Prometheus.
const MAX_BUCKETS: usize = 512;

/// Returns `count` bucket bounds for [`Builder::buckets`](crate::Builder::buckets): the first is `start`, and each
/// subsequent one is `width` higher.
///
/// Bounds are rounded to 15 significant digits. If the arguments do not result in increasing bounds, the histogram
/// cannot be registered, and the error lists the bounds.
///
/// # Example: the age of a cached item
///
/// ```
/// use metrics_core::{Histogram, linear_buckets};
///
/// let ages = Histogram::builder("cache_age_seconds", "Age of cached items.").buckets(linear_buckets(0.1, 0.1, 5)).build();
/// assert!(linear_buckets(0.1, 0.1, 5).eq([0.1, 0.2, 0.3, 0.4, 0.5]));
/// ages.observe(0.25);
/// ```
pub fn linear_buckets(start: f64, width: f64, count: usize) -> impl Iterator<Item = f64> {
    (0..count).map(move |n| rounded(start + width * n as f64))
}

/// Returns `count` bucket bounds for [`Builder::buckets`](crate::Builder::buckets): the first is `start`, and each
/// subsequent one is `factor` times the previous one.
///
/// Bounds are rounded to 15 significant digits. If the arguments do not result in increasing bounds, the histogram
/// cannot be registered, and the error lists the bounds.
///
/// # Example: sizes from 1 KiB to 1 MiB
///
/// ```
/// use metrics_core::{Histogram, exponential_buckets};
///
/// let bounds = exponential_buckets(1_024.0, 4.0, 6);
/// let sizes = Histogram::builder("image_size_bytes", "Size of images.").buckets(bounds).build();
/// assert!(exponential_buckets(1_024.0, 4.0, 6).eq([1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0]));
/// sizes.observe(20_000);
/// ```
pub fn exponential_buckets(start: f64, factor: f64, count: usize) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(1.0), move |power| Some(power * factor))
        .take(count)
        .map(move |power| rounded(start * power))
}

/// Rounds to 15 significant digits, so that three times 0.1 is 0.3. Integers are not rounded.
fn rounded(bound: f64) -> f64 {
    if bound.fract() == 0.0 { bound } else { format!("{bound:.14e}").parse().unwrap_or(bound) }
}

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
    bounds: &'static [f64],
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
        observe(self.handle, self.bounds, value.as_f64());
    }

    /// Returns the handle, the bucket bounds (empty except for histograms), and the owner of the series.
    pub(crate) fn cell(&self) -> (Handle, &'static [f64], &OptionalOwner) {
        (self.handle, self.bounds, &self.owner)
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
        cell::read_all(&[self.handle], self.bounds, &mut totals);
        // A read that overlaps the removal of the series returns partial totals.
        if access::is_live(self.handle) { (totals.buckets.iter().sum(), totals.sums[0]) } else { (0, 0.0) }
    }
}

/// Adds one observation to the histogram of `handle`, whose bucket bounds are `bounds`.
#[inline]
#[track_caller]
pub(crate) fn observe(handle: Handle, bounds: &'static [f64], value: f64) {
    if value.is_finite() {
        cell::observe(handle, bounds, value);
    } else {
        InternalError::InvalidObservation.record(&Location::caller());
    }
}

/// Collects the bounds that a caller passed. One bound over the limit is enough to cause the error, so an infinite
/// iterator is also rejected.
pub(crate) fn collect_bounds(bounds: impl IntoIterator<Item = f64>) -> Vec<f64> {
    bounds.into_iter().take(MAX_BUCKETS + 1).collect()
}

/// Returns true if these are valid bounds for a histogram.
pub(crate) fn are_bounds(bounds: &[f64]) -> bool {
    (1..=MAX_BUCKETS).contains(&bounds.len())
        && bounds.iter().all(|bound| bound.is_finite())
        && bounds.windows(2).all(|pair| pair[0] < pair[1])
}

/// Returns a static copy of the valid bounds in `bounds`. Equal lists share one copy.
pub(crate) fn intern(bounds: &[f64]) -> &'static [f64] {
    static KNOWN: Mutex<Vec<&'static [f64]>> = Mutex::new(Vec::new());
    let mut bounds: Vec<f64> = bounds.iter().copied().filter(|bound| bound.is_finite()).collect();
    bounds.sort_by(f64::total_cmp);
    bounds.dedup();
    bounds.truncate(MAX_BUCKETS);
    let mut known = lock(&KNOWN);
    if let Some(same) = known.iter().find(|known| **known == bounds) {
        return same;
    }
    let new: &'static [f64] = bounds.leak();
    known.push(new);
    new
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
        allocate: |bounds| cell::allocate(bounds),
        free: |handle, bounds| cell::free(handle, bounds),
        read,
        value,
        are_live: access::are_live,
    };

    fn from_cell(handle: Handle, bounds: &'static [f64], owner: OptionalOwner) -> Self {
        Self { handle, bounds, owner }
    }
}

fn read(handles: &[Handle], bounds: &'static [f64], readings: &mut Readings) {
    let Readings { histograms, buckets, .. } = readings;
    cell::read_all(handles, bounds, histograms);
    buckets.clear();
    for own in histograms.buckets.chunks(bounds.len() + 1) {
        let mut count = 0;
        buckets.extend(bounds.iter().chain([&f64::INFINITY]).zip(own).map(|(bound, own)| {
            count += own;
            (*bound, count)
        }));
    }
}

fn value(readings: &Readings, at: usize) -> Value<'_> {
    let Readings { histograms, buckets, .. } = readings;
    let len = buckets.len() / histograms.sums.len();
    let buckets = &buckets[at * len..][..len];
    Value::Histogram { count: buckets[len - 1].1, sum: histograms.sums[at], buckets }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Registry};

    #[test]
    fn bounds_are_rounded_to_decimal_numbers() {
        let linear: Vec<f64> = linear_buckets(0.1, 0.1, 30).collect();
        let expected: Vec<f64> = (1..=30).map(|tenths| f64::from(tenths) / 10.0).collect();
        assert_eq!(linear, expected);
        assert!(linear_buckets(-10.0, 5.0, 4).eq([-10.0, -5.0, 0.0, 5.0]));
        assert!(exponential_buckets(0.001, 10.0, 5).eq([0.001, 0.01, 0.1, 1.0, 10.0]));
        // Integers are exact, even if they have more than 15 digits.
        assert!(exponential_buckets(1.0, 2.0, 61).last().is_some_and(|bound| bound == 1_152_921_504_606_846_976.0));
    }

    #[test]
    fn bounds_that_do_not_increase_are_an_error() {
        let register = |bounds: &mut dyn Iterator<Item = f64>| {
            Histogram::builder("h", "Help.").buckets(bounds).register_in(&Registry::new()).map(|_| ())
        };
        let invalid: [&mut dyn Iterator<Item = f64>; 7] = [
            &mut linear_buckets(1.0, 0.0, 3),
            &mut linear_buckets(1.0, -1.0, 3),
            &mut linear_buckets(0.0, f64::NAN, 3),
            &mut exponential_buckets(0.0, 2.0, 3),
            &mut exponential_buckets(1.0, f64::INFINITY, 3),
            &mut linear_buckets(1.0, 1.0, 0),
            // Only enough bounds are collected to detect that there are too many.
            &mut linear_buckets(1.0, 1.0, usize::MAX),
        ];
        for bounds in invalid {
            assert!(matches!(register(bounds), Err(Error::InvalidBuckets { .. })));
        }
        assert!(register(&mut linear_buckets(1.0, 1.0, MAX_BUCKETS)).is_ok());
    }
}

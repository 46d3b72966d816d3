//! The classic histogram: observations counted in buckets.

use std::panic::Location;
use std::sync::LazyLock;
use std::time::Instant;
use std::{fmt, iter};

use crate::amount::Amount;
use crate::cell::{self, Buckets, Handle, access, distribution_reader, histogram};
use crate::exemplars;
use crate::kind::Kind;
use crate::label_value::LabelValue;
use crate::metric::{MetricVTable, OptionalOwner, Readings, sealed};
use crate::sample::{NativeHistogram, Value};
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

    /// Like [`Histogram::observe`], but also keeps `labels` as an exemplar of the bucket if the bucket's latest
    /// exemplar is at least a second old.
    ///
    /// `labels` is called only when an exemplar is due, and returns pairs of names and values. If it returns none, a
    /// later observation tries again, after at least a millisecond. The names and values may have at most 128
    /// characters in total. If the labels are invalid or too long, or if `labels` panics, the observation is counted
    /// without an exemplar, and the error is counted in `metrics_core_internal_errors_total`. See
    /// [`guide::exemplars`](crate::guide::exemplars).
    ///
    /// # Example: the trace of an upload
    ///
    /// ```
    /// use metrics_core::Histogram;
    ///
    /// let sizes = Histogram::builder("upload_size_bytes", "Size of uploads.").buckets([1e3, 1e6]).build();
    /// sizes.observe_with_exemplar(20_000, || [("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736")]);
    /// assert_eq!(sizes.count(), 1);
    /// ```
    #[track_caller]
    pub fn observe_with_exemplar<L, N, V>(&self, value: impl Amount, labels: impl FnOnce() -> L)
    where
        L: IntoIterator<Item = (N, V)>,
        N: AsRef<str>,
        V: LabelValue,
    {
        let value = value.as_f64();
        observe(self.handle, Some(self.buckets), value);
        if value.is_finite() {
            exemplars::observed(self.handle, self.buckets, value, labels, &Location::caller());
        }
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
        let mut readings = Readings::default();
        read(&[self.handle], Some(self.buckets), &mut readings);
        match value(&readings, 0) {
            // A read that overlaps the removal of the series returns partial totals.
            Value::Histogram { count, sum, .. } if access::is_live(self.handle) => (count, sum),
            _ => (0, 0.0),
        }
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
        states: &[],
        allocate: |buckets| cell::allocate(Some(of_histogram(buckets))),
        free: |handle, buckets| {
            let buckets = of_histogram(buckets);
            cell::free(handle, Some(buckets));
            exemplars::forget(handle, buckets.classic());
        },
        read,
        value,
        are_live: access::are_live,
    };

    fn from_cell(handle: Handle, buckets: Option<&'static Buckets>, owner: OptionalOwner) -> Self {
        Self { handle, buckets: of_histogram(buckets), owner }
    }
}

/// Returns a histogram's buckets, or buckets without bounds if it has none.
fn of_histogram(buckets: Option<&'static Buckets>) -> &'static Buckets {
    static WITHOUT_BOUNDS: LazyLock<Buckets> = LazyLock::new(|| cell::new_buckets(Vec::new(), None));
    buckets.unwrap_or_else(|| &WITHOUT_BOUNDS)
}

fn read(handles: &[Handle], buckets: Option<&'static Buckets>, readings: &mut Readings) {
    let (Readings { histograms, distributions, cumulative, .. }, buckets) = (readings, of_histogram(buckets));
    if buckets.exponential.is_some() {
        distribution_reader::read_all(handles, Instant::now(), distributions);
        histograms.sums.clear();
        histograms.sums.extend(distributions.iter().map(|distribution| distribution.sum));
        cumulative.clear();
        for distribution in &*distributions {
            // A series that has just been removed has no buckets.
            accumulate(buckets, distribution.classic.iter().copied().chain(iter::repeat(0)), cumulative);
        }
    } else {
        distributions.clear();
        histogram::read_all(handles, buckets, histograms);
        cumulative.clear();
        for counts in histograms.counts.chunks(buckets.classic()) {
            accumulate(buckets, counts.iter().copied(), cumulative);
        }
    }
}

/// Appends the upper bound and the cumulative count of each bucket of one series.
fn accumulate(buckets: &Buckets, counts: impl Iterator<Item = u64>, cumulative: &mut Vec<(f64, u64)>) {
    let mut total = 0;
    cumulative.extend(buckets.bounds.iter().chain([&f64::INFINITY]).zip(counts).map(|(bound, count)| {
        total += count;
        (*bound, total)
    }));
}

fn value(readings: &Readings, at: usize) -> Value<'_> {
    let Readings { histograms, distributions, cumulative, .. } = readings;
    let len = cumulative.len() / histograms.sums.len();
    let buckets = &cumulative[at * len..][..len];
    let native = distributions.get(at).and_then(|distribution| distribution.native.as_ref());
    let native = native.map(NativeHistogram::from);
    Value::Histogram { count: buckets[len - 1].1, sum: histograms.sums[at], buckets, native }
}

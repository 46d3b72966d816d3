//! The data model of a scrape (family, series, sample), and the visitor that encoders implement.

use std::borrow::Cow;
use std::time::SystemTime;

use crate::cell::native::NativeBuckets;
use crate::kind::Kind;

/// The properties that all series of a family share.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FamilyInfo<'a> {
    /// The name, including the `_total` suffix of counters.
    pub name: &'a str,
    /// The help text, unescaped.
    pub help: &'a str,
    /// The type.
    pub kind: Kind,
    /// The base unit, if one was declared.
    pub unit: Option<&'a str>,
}

impl<'a> FamilyInfo<'a> {
    /// Creates a family description without a unit.
    #[must_use]
    pub fn new(name: &'a str, help: &'a str, kind: Kind) -> Self {
        Self { name, help, kind, unit: None }
    }
}

/// The labels of one series: `name="value"` pairs, already escaped for the text formats.
#[derive(Clone, Copy, Debug, Default)]
pub struct Labels<'a> {
    /// The constant labels and the other labels, as comma-separated pairs. Either part may be empty.
    parts: [&'a str; 2],
}

impl Labels<'_> {
    /// Creates labels from unescaped names and values.
    #[must_use]
    pub fn of(pairs: &[(&str, &str)]) -> OwnedLabels {
        let mut text = String::new();
        for (name, value) in pairs {
            crate::labels::push_pair(&mut text, 0, name, value);
        }
        OwnedLabels(text)
    }
}

/// Labels that own their text; created by [`Labels::of`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedLabels(String);

impl OwnedLabels {
    /// Borrows the labels, to pass them to a [`Visitor`].
    #[must_use]
    pub fn borrow(&self) -> Labels<'_> {
        Labels::new("", &self.0)
    }
}

impl<'a> Labels<'a> {
    pub(crate) fn new(constant: &'a str, own: &'a str) -> Self {
        Self { parts: [constant, own] }
    }

    /// Returns the escaped constant and other labels. Either part may be empty.
    pub(crate) fn parts(self) -> [&'a str; 2] {
        self.parts
    }

    /// Returns true if there are no labels.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.parts.iter().all(|part| part.is_empty())
    }

    /// Returns the escaped pairs in at most two non-empty pieces. The caller must write a comma between the pieces.
    pub fn escaped(self) -> impl Iterator<Item = &'a str> {
        self.parts.into_iter().filter(|part| !part.is_empty())
    }

    /// Iterates over the unescaped names and values.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
        self.escaped().flat_map(crate::labels::pairs)
    }
}

/// The total of a counter: an exact integer, or a float.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer, which is exact even beyond 2^53.
    Whole(u64),
    /// Any other number.
    Float(f64),
}

impl Number {
    /// Returns the number as `f64`. Integers above 2^53 are rounded.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Whole(n) => n as f64,
            Self::Float(n) => n,
        }
    }
}

/// The value of one series in one scrape.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// A counter's total.
    Counter(Number),
    /// A gauge's value.
    Gauge(f64),
    /// A value of unknown type.
    Untyped(f64),
    /// The count and sum of a summary, which are consistent with each other.
    Summary {
        /// The number of observations.
        count: u64,
        /// The sum of the observations.
        sum: f64,
        /// Quantiles (0 to 1) and their values, which are NaN if there were no recent observations.
        quantiles: &'a [(f64, f64)],
    },
    /// The count, sum and buckets of a histogram, which are consistent with each other.
    Histogram {
        /// The number of observations, which equals the count of the last bucket.
        count: u64,
        /// The sum of the observations.
        sum: f64,
        /// The upper bound and cumulative count of each bucket. The last bound is `+Inf`.
        buckets: &'a [(f64, u64)],
        /// The same observations in native buckets, if the histogram has them. Only protobuf can represent them.
        native: Option<NativeHistogram<'a>>,
    },
}

/// The buckets of a native histogram.
///
/// Bucket `i` covers the values above `g^(i - 1)` and up to `g^i`, where `g` is 2 to the power of `2^-schema`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NativeHistogram<'a> {
    /// The resolution, from -4 (coarsest) to 8.
    pub schema: i32,
    /// Values whose magnitude is at most this are in the zero bucket.
    pub zero_threshold: f64,
    /// The number of observations in the zero bucket.
    pub zero_count: u64,
    /// The index and the count of each bucket of positive values, sorted by index. Buckets without observations may be
    /// absent.
    pub positive: &'a [(i32, u64)],
    /// Like `positive`, for the magnitudes of negative values.
    pub negative: &'a [(i32, u64)],
}

impl<'a> From<&'a NativeBuckets> for NativeHistogram<'a> {
    fn from(native: &'a NativeBuckets) -> Self {
        let NativeBuckets { schema, zero_threshold, zero_count, positive, negative } = native;
        Self { schema: *schema, zero_threshold: *zero_threshold, zero_count: *zero_count, positive, negative }
    }
}

impl From<NativeHistogram<'_>> for NativeBuckets {
    fn from(native: NativeHistogram<'_>) -> Self {
        let NativeHistogram { schema, zero_threshold, zero_count, positive, negative } = native;
        Self { schema, zero_threshold, zero_count, positive: positive.to_vec(), negative: negative.to_vec() }
    }
}

/// One of the events that a counter or a classic bucket has counted.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Exemplar<'a> {
    /// The position of the bucket in [`Value::Histogram`]; 0 for counters.
    pub bucket: usize,
    /// The labels, such as `trace_id`. Their names and values have at most 128 characters.
    pub labels: Labels<'a>,
    /// The observed value, or the amount that was added to the counter.
    pub value: f64,
    /// The time at which the exemplar was recorded.
    pub timestamp: SystemTime,
}

/// The details of a series that only some formats can represent.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SeriesDetails<'a> {
    /// The exemplars of a counter or histogram, sorted by bucket; empty for other types.
    pub exemplars: &'a [Exemplar<'a>],
    /// The time at which the series was created, rounded down by at most a tenth of a second; `None` for series from
    /// collectors and callbacks, and for the library's own series.
    pub created: Option<SystemTime>,
}

/// Receives the families and series of a scrape. Encoders and bridges implement this trait.
///
/// A scrape visits each family once, in name order. The library's own families (`metrics_core_*`) come last. Families
/// without series are not visited.
pub trait Visitor {
    /// Begins a family. The series that follow belong to it.
    fn family(&mut self, family: &FamilyInfo<'_>);

    /// Visits one series of the current family.
    fn series(&mut self, labels: Labels<'_>, value: &Value<'_>);

    /// Visits one series together with its details. The default implementation passes the series to
    /// [`Visitor::series`], without the details.
    ///
    /// A scrape calls this method for the series of its families, and [`Visitor::series`] for series from collectors
    /// and callbacks.
    fn series_with_details(&mut self, labels: Labels<'_>, value: &Value<'_>, details: &SeriesDetails<'_>) {
        let _ = details;
        self.series(labels, value);
    }
}

impl<V: Visitor + ?Sized> Visitor for &mut V {
    #[inline]
    fn family(&mut self, family: &FamilyInfo<'_>) {
        (**self).family(family);
    }

    #[inline]
    fn series(&mut self, labels: Labels<'_>, value: &Value<'_>) {
        (**self).series(labels, value);
    }

    #[inline]
    fn series_with_details(&mut self, labels: Labels<'_>, value: &Value<'_>, details: &SeriesDetails<'_>) {
        (**self).series_with_details(labels, value, details);
    }
}

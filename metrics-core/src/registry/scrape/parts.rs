//! The parts of a family, one for each set of label names, and the series that occur in several parts.
//!
//! A label with an empty value is equivalent to an absent label. A family whose parts have different label names may
//! therefore hold the same series in several parts, such as `{path="/a"}` in one part and `{path="/a",zone=""}` in
//! another. The first of these parts reports the sum, and the others skip the series. Most families have a single part,
//! which is not searched for duplicates.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use crate::cell::native::NativeBuckets;
use crate::cell::{self, Handle};
use crate::counter::number;
use crate::family::FamilyCore;
use crate::family::core::EarlyTotals;
use crate::labels;
use crate::metric::Readings;
use crate::sample::{NativeHistogram, Number, Value};

/// The series in a family that share one set of label names.
pub(crate) struct FamilyPart {
    pub(crate) core: Arc<FamilyCore>,
    /// The totals, if this scrape read them early.
    pub(crate) early: Option<EarlyTotals>,
}

impl FamilyPart {
    /// Returns the early totals that this scrape reports instead of the current totals, if any.
    pub(crate) fn early(&self) -> Option<&EarlyTotals> {
        // The totals recorded when the family was marked include all threads, so a snapshot of one thread ignores them.
        let when_marked = || if cell::reads_all_blocks() { self.core.totals_when_marked() } else { None };
        self.early.as_ref().or_else(when_marked)
    }
}

/// The parts of a family other than the part being visited.
#[derive(Clone, Copy)]
pub(crate) struct OtherParts<'p> {
    parts: &'p [FamilyPart],
    at: usize,
}

/// An equal series in another part.
pub(crate) struct Duplicate<'p> {
    part: &'p FamilyPart,
    handle: Handle,
    created: Option<SystemTime>,
}

impl Duplicate<'_> {
    /// The creation time of the series.
    pub(crate) fn created(&self) -> Option<SystemTime> {
        self.created
    }
}

impl<'p> OtherParts<'p> {
    /// Returns the parts other than the one at `at`, or `None` if the family has a single part.
    pub(crate) fn of(parts: &'p [FamilyPart], at: usize) -> Option<Self> {
        (parts.len() > 1).then_some(Self { parts, at })
    }

    /// Returns the equal series in later parts, or `None` if an earlier part reports this series.
    pub(crate) fn duplicates(self, text: &str) -> Option<Vec<Duplicate<'p>>> {
        let labels: Vec<(&str, Cow<'_, str>)> = labels::pairs(text).filter(|(_, value)| !value.is_empty()).collect();
        let mut later = Vec::new();
        for (position, part) in self.parts.iter().enumerate().filter(|(position, _)| *position != self.at) {
            let names = &part.core.declaration.label_names;
            if !labels.iter().all(|(name, _)| names.iter().any(|own| own == name)) {
                continue;
            }
            let value =
                |own: &String| labels.iter().find(|(name, _)| own == name).map_or("", |(_, value)| value.as_ref());
            let values: Vec<&str> = names.iter().map(value).collect();
            let Some((handle, created)) = part.core.find_with_creation(&values) else { continue };
            if position < self.at {
                return None;
            }
            later.push(Duplicate { part, handle, created });
        }
        Some(later)
    }
}

/// Passes the sum of `value` and its duplicates to `show`.
pub(crate) fn with_duplicates(value: &Value<'_>, duplicates: &[Duplicate<'_>], show: &mut dyn FnMut(&Value<'_>)) {
    let Some((first, rest)) = duplicates.split_first() else { return show(value) };
    let declaration = &first.part.core.declaration;
    if let Some(early) = first.part.early() {
        let total = early.find(first.handle, &mut 0);
        return sum(value, &Value::Counter(number(total)), &mut |sum| with_duplicates(sum, rest, show));
    }
    let mut readings = Readings::default();
    (declaration.metric.read)(&[first.handle], declaration.buckets, &mut readings);
    let other = (declaration.metric.value)(&readings, 0);
    sum(value, &other, &mut |sum| with_duplicates(sum, rest, show));
}

/// Adds two values that have the same type and buckets, and passes the sum to `give`.
fn sum(one: &Value<'_>, other: &Value<'_>, give: &mut dyn FnMut(&Value<'_>)) {
    match (*one, *other) {
        (Value::Counter(Number::Whole(one)), Value::Counter(Number::Whole(other))) => {
            give(&Value::Counter(Number::Whole(one.saturating_add(other))));
        }
        (Value::Counter(one), Value::Counter(other)) => {
            give(&Value::Counter(Number::Float(one.as_f64() + other.as_f64())));
        }
        (Value::Gauge(one), Value::Gauge(other)) => give(&Value::Gauge(one + other)),
        (Value::Summary { count, sum, quantiles }, Value::Summary { count: more, sum: plus, quantiles: others }) => {
            // Quantiles cannot be added up. NaN is better than a number that ignores some of the observations.
            let unknown: Vec<_> = quantiles.iter().map(|(quantile, _)| (*quantile, f64::NAN)).collect();
            let quantiles = match (count, more) {
                (_, 0) => quantiles,
                (0, _) => others,
                _ => &unknown,
            };
            give(&Value::Summary { count: count + more, sum: sum + plus, quantiles });
        }
        (
            Value::Histogram { count, sum, buckets, native },
            Value::Histogram { count: more, sum: plus, buckets: others, native: other },
        ) => {
            let buckets: Vec<_> =
                buckets.iter().zip(others).map(|((bound, one), (_, two))| (*bound, one + two)).collect();
            let native = native.zip(other).map(|(one, other)| NativeBuckets::from(one).plus(&other.into()));
            let native = native.as_ref().map(NativeHistogram::from);
            give(&Value::Histogram { count: count + more, sum: sum + plus, buckets: &buckets, native });
        }
        (one, _) => give(&one),
    }
}

//! Delta temporality: totals that the target remembers, and the increases that it sends.

use super::super::push::differences::Total;
use crate::cell::native::NativeBuckets;
use crate::sample::{NativeHistogram, Number, SeriesDetails, Value};

/// The totals that a target sends as increases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Temporality {
    Cumulative,
    Delta,
    /// Increases of everything except counters without a creation time, which come from callbacks and collectors. The
    /// specification calls these asynchronous.
    LowMemory,
}

impl Temporality {
    /// Returns true if this series is sent as an increase.
    pub(super) fn is_delta(self, value: &Value<'_>, details: &SeriesDetails<'_>) -> bool {
        match (self, value) {
            (Self::Delta, Value::Counter(_)) | (Self::Delta | Self::LowMemory, Value::Histogram { .. }) => true,
            (Self::LowMemory, Value::Counter(_)) => details.created.is_some(),
            _ => false,
        }
    }
}

/// A total, or an increase.
pub(super) struct OwnedPoint {
    value: OwnedValue,
    /// The time of the push that sent the total, or at which the increase begins.
    pub(super) time: u64,
}

/// A value that owns its buckets: either the native ones or the classic ones.
enum OwnedValue {
    Counter(Number),
    Classic { count: u64, sum: f64, buckets: Vec<(f64, u64)> },
    Native { count: u64, sum: f64, native: NativeBuckets },
}

impl OwnedPoint {
    /// Returns the total of a counter or histogram, or `None` for other types.
    pub(super) fn new(value: &Value<'_>, time: u64) -> Option<Self> {
        let value = match *value {
            Value::Counter(total) => OwnedValue::Counter(total),
            Value::Histogram { count, sum, native: Some(native), .. } => {
                OwnedValue::Native { count, sum, native: native.into() }
            }
            Value::Histogram { count, sum, buckets, native: None } => {
                OwnedValue::Classic { count, sum, buckets: buckets.to_vec() }
            }
            _ => return None,
        };
        Some(Self { value, time })
    }

    pub(super) fn value(&self) -> Value<'_> {
        match &self.value {
            OwnedValue::Counter(total) => Value::Counter(*total),
            OwnedValue::Classic { count, sum, buckets } => {
                Value::Histogram { count: *count, sum: *sum, buckets, native: None }
            }
            OwnedValue::Native { count, sum, native } => {
                let native = Some(NativeHistogram::from(native));
                Value::Histogram { count: *count, sum: *sum, buckets: &[], native }
            }
        }
    }
}

impl Total for OwnedPoint {
    fn since(&self, earlier: &Self) -> Option<Self> {
        let value = match (&self.value, &earlier.value) {
            (OwnedValue::Counter(total), OwnedValue::Counter(earlier)) => {
                OwnedValue::Counter(number_since(*total, *earlier)?)
            }
            (
                OwnedValue::Classic { count, sum, buckets },
                OwnedValue::Classic { count: earlier, sum: earlier_sum, buckets: earlier_buckets },
            ) => OwnedValue::Classic {
                count: count.checked_sub(*earlier)?,
                sum: sum - earlier_sum,
                buckets: buckets_since(buckets, earlier_buckets)?,
            },
            (
                OwnedValue::Native { count, sum, native },
                OwnedValue::Native { count: earlier, sum: earlier_sum, native: earlier_native },
            ) => OwnedValue::Native {
                count: count.checked_sub(*earlier)?,
                sum: sum - earlier_sum,
                native: native_since(native, earlier_native)?,
            },
            _ => return None,
        };
        Some(Self { value, time: earlier.time })
    }
}

fn number_since(total: Number, earlier: Number) -> Option<Number> {
    match (total, earlier) {
        (Number::Whole(total), Number::Whole(earlier)) => total.checked_sub(earlier).map(Number::Whole),
        (total, earlier) => {
            Some(total.as_f64() - earlier.as_f64()).filter(|increase| *increase >= 0.0).map(Number::Float)
        }
    }
}

/// Returns the increase of each cumulative count, or `None` if the count of a bucket decreased or the bounds differ.
fn buckets_since(buckets: &[(f64, u64)], earlier: &[(f64, u64)]) -> Option<Vec<(f64, u64)>> {
    let since = |((bound, total), (earlier_bound, earlier)): (&(f64, u64), &(f64, u64))| {
        total.checked_sub(*earlier).filter(|_| bound == earlier_bound).map(|increase| (*bound, increase))
    };
    let increases: Vec<_> = buckets.iter().zip(earlier).map(since).collect::<Option<_>>()?;
    let is_sorted = increases.is_sorted_by_key(|(_, increase)| *increase);
    (is_sorted && buckets.len() == earlier.len()).then_some(increases)
}

/// Returns the increase of native buckets at the coarser of both resolutions, or `None` if a count decreased.
fn native_since(total: &NativeBuckets, earlier: &NativeBuckets) -> Option<NativeBuckets> {
    if (total.schema, total.zero_threshold) != (earlier.schema, earlier.zero_threshold) {
        let resolution = NativeBuckets {
            schema: total.schema.min(earlier.schema),
            zero_threshold: total.zero_threshold.max(earlier.zero_threshold),
            ..NativeBuckets::default()
        };
        return native_since(&resolution.plus(total), &resolution.plus(earlier));
    }
    Some(NativeBuckets {
        schema: total.schema,
        zero_threshold: total.zero_threshold,
        zero_count: total.zero_count.checked_sub(earlier.zero_count)?,
        positive: list_since(&total.positive, &earlier.positive)?,
        negative: list_since(&total.negative, &earlier.negative)?,
    })
}

/// Returns the increases of the buckets of one sign. Both lists are sorted.
fn list_since(total: &[(i32, u64)], earlier: &[(i32, u64)]) -> Option<Vec<(i32, u64)>> {
    let mut earlier = earlier.iter().peekable();
    let mut increases = Vec::new();
    for (index, total) in total {
        let before = earlier.next_if(|(before, _)| before == index).map_or(0, |(_, before)| *before);
        let increase = total.checked_sub(before)?;
        if increase > 0 {
            increases.push((*index, increase));
        }
    }
    // A remaining bucket has observations that the total does not contain.
    earlier.next().is_none().then_some(increases)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(total: &Value<'_>, earlier: &Value<'_>) -> Option<OwnedPoint> {
        OwnedPoint::new(total, 9).expect("a total").since(&OwnedPoint::new(earlier, 5).expect("a total"))
    }

    #[test]
    fn counters_increase_exactly_and_never_decrease() {
        let whole = |n| Value::Counter(Number::Whole(n));
        let float = |n| Value::Counter(Number::Float(n));
        for (total, earlier, expected) in [
            (whole(u64::MAX), whole(u64::MAX - 1), Some(whole(1))),
            (whole(7), whole(7), Some(whole(0))),
            (whole(7), whole(8), None),
            (float(7.5), whole(7), Some(float(0.5))),
            (whole(8), float(7.5), Some(float(0.5))),
            (float(7.0), float(7.5), None),
            (float(f64::NAN), float(7.5), None),
        ] {
            let increase = since(&total, &earlier);
            assert_eq!(increase.as_ref().map(OwnedPoint::value), expected, "{total:?} since {earlier:?}");
            assert!(increase.is_none_or(|increase| increase.time == 5));
        }
    }

    /// The bound of the last bucket.
    const LAST: f64 = f64::INFINITY;

    fn histogram(count: u64, sum: f64, buckets: &[(f64, u64)]) -> Value<'_> {
        Value::Histogram { count, sum, buckets, native: None }
    }

    #[test]
    fn classic_buckets_increase_one_by_one() {
        let earlier = histogram(3, 4.0, &[(1.0, 1), (2.0, 2), (LAST, 3)]);
        let increase = since(&histogram(6, 9.5, &[(1.0, 2), (2.0, 3), (LAST, 6)]), &earlier).expect("an increase");
        assert_eq!(increase.value(), histogram(3, 5.5, &[(1.0, 1), (2.0, 1), (LAST, 3)]));
        for (why, begun_again) in [
            ("fewer observations", histogram(2, 9.5, &[(1.0, 1), (2.0, 2), (LAST, 2)])),
            ("other bounds", histogram(6, 9.5, &[(1.0, 2), (3.0, 3), (LAST, 6)])),
            ("fewer bounds", histogram(6, 9.5, &[(1.0, 2), (LAST, 6)])),
            ("fewer observations between two bounds", histogram(6, 9.5, &[(1.0, 4), (2.0, 4), (LAST, 6)])),
        ] {
            assert!(since(&begun_again, &earlier).is_none(), "{why}");
        }
        let native = NativeHistogram { schema: 0, zero_threshold: 0.0, zero_count: 6, positive: &[], negative: &[] };
        let other = Value::Histogram { count: 6, sum: 9.5, buckets: &[], native: Some(native) };
        assert!(since(&other, &earlier).is_none());
    }

    /// A histogram whose buckets are powers of 2 if the schema is 0.
    fn native<'a>(schema: i32, zero: (f64, u64), positive: &'a [(i32, u64)], negative: &'a [(i32, u64)]) -> Value<'a> {
        let (zero_threshold, zero_count) = zero;
        let counts = positive.iter().chain(negative).map(|(_, count)| count);
        let count = counts.sum::<u64>() + zero_count;
        let native = NativeHistogram { schema, zero_threshold, zero_count, positive, negative };
        Value::Histogram { count, sum: count as f64, buckets: &[], native: Some(native) }
    }

    #[test]
    fn native_buckets_increase_with_the_coarser_resolution() {
        let zero = |count| (0.25, count);
        let earlier = native(1, zero(1), &[(1, 1), (2, 2), (5, 3)], &[(3, 1)]);
        for (total, expected) in [
            (
                native(1, zero(3), &[(1, 1), (2, 3), (4, 7), (5, 3)], &[(3, 1)]),
                native(1, zero(2), &[(2, 1), (4, 7)], &[]),
            ),
            // Buckets 1 and 2 of schema 1 are bucket 1 of schema 0, bucket 3 is in bucket 2, and bucket 5 in bucket 3.
            (
                native(0, zero(1), &[(1, 4), (3, 3), (7, 1)], &[(2, 2)]),
                native(0, zero(0), &[(1, 1), (7, 1)], &[(2, 1)]),
            ),
            // The zero bucket now contains the values up to 2.
            (native(1, (2.0, 5), &[(5, 4)], &[(3, 1)]), native(1, (2.0, 1), &[(5, 1)], &[])),
        ] {
            let increase = since(&total, &earlier).unwrap_or_else(|| panic!("{total:?}"));
            assert_eq!(increase.value(), expected);
        }
        for (why, begun_again) in [
            ("fewer in a bucket", native(1, zero(9), &[(1, 1), (2, 1), (5, 3)], &[(3, 1)])),
            ("no bucket", native(1, zero(9), &[(1, 1), (2, 2)], &[(3, 1)])),
            ("fewer zeros", native(1, zero(0), &[(1, 9), (2, 2), (5, 3)], &[(3, 1)])),
            ("fewer in a coarser bucket", native(0, zero(9), &[(1, 2), (3, 3)], &[(2, 2)])),
        ] {
            assert!(since(&begun_again, &earlier).is_none(), "{why}");
        }
    }

    #[test]
    fn asynchronous_counters_are_cumulative_with_low_memory() {
        use Temporality::{Cumulative, Delta, LowMemory};
        let counter = Value::Counter(Number::Whole(1));
        let histogram = Value::Histogram { count: 0, sum: 0.0, buckets: &[], native: None };
        let unknown = SeriesDetails::default();
        let known = SeriesDetails { created: Some(std::time::SystemTime::UNIX_EPOCH), ..unknown };
        for (temporality, value, details, expected) in [
            (Cumulative, counter, known, false),
            (Cumulative, histogram, known, false),
            (Delta, counter, unknown, true),
            (Delta, histogram, unknown, true),
            (Delta, Value::Gauge(1.0), known, false),
            (Delta, Value::Summary { count: 0, sum: 0.0, quantiles: &[] }, known, false),
            (LowMemory, counter, unknown, false),
            (LowMemory, counter, known, true),
            (LowMemory, histogram, unknown, true),
        ] {
            assert_eq!(temporality.is_delta(&value, &details), expected, "{temporality:?} {value:?}");
        }
    }
}

//! Native histograms: exponential buckets whose number is limited, as Prometheus reads them.
//!
//! The limit is applied by the reader. If there are too many buckets, the zero bucket is widened, then the resolution
//! is halved until the limit is met. Both steps merge whole buckets, and neither is ever undone, so the number of
//! observations up to any remaining bound never decreases.

use super::buckets::{Buckets, Native};
use super::counts::{Counts, LaneCache};
use super::exponential::{self, COARSE_SCHEMA, MAX_SCHEMA, MIN_SCHEMA, ZERO_THRESHOLD};

/// The zero bucket is widened up to this magnitude, 2^-30: about a nanosecond if the unit is seconds.
const MAX_ZERO_THRESHOLD: f64 = 1.0 / (1_u64 << 30) as f64;

/// All numbers are within this number of factors of 2 from 1.
const LAST_OCTAVE: u32 = 1_100;

/// The resolution of a series, which only decreases.
#[derive(Debug)]
pub(crate) struct Resolution {
    schema: i32,
    zero_threshold: f64,
}

/// The buckets of a native histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NativeBuckets {
    pub(crate) schema: i32,
    /// Values whose magnitude is at most this are in the zero bucket.
    pub(crate) zero_threshold: f64,
    pub(crate) zero_count: u64,
    /// The index and the count of each bucket with observations, sorted by index.
    pub(crate) positive: Vec<(i32, u64)>,
    /// Like `positive`, for negative values.
    pub(crate) negative: Vec<(i32, u64)>,
}

impl Resolution {
    pub(crate) fn new(native: &Native) -> Self {
        Self { schema: native.schema, zero_threshold: ZERO_THRESHOLD }
    }

    /// Replaces `limited` with the native buckets for these counts, at most as many as `native` allows if that is
    /// possible. Replaces `classic` with the classic buckets, without the values close to 0.
    pub(super) fn limit(
        &mut self,
        counts: &Counts,
        buckets: &'static Buckets,
        native: &Native,
        cache: &mut LaneCache,
        classic: &mut Vec<u64>,
        limited: &mut NativeBuckets,
    ) {
        if counts.chunks.iter().any(|(key, _)| key.is_coarse()) {
            self.reduce_to(COARSE_SCHEMA.min(self.schema));
        }
        loop {
            self.fill(counts, buckets, cache, classic, limited);
            if limited.positive.len() + limited.negative.len() <= native.max_buckets {
                return;
            }
            let lowest = [&limited.positive, &limited.negative].into_iter().filter_map(|list| list.first());
            let lowest =
                lowest.map(|(index, _)| exponential::upper_bound(*index, self.schema)).fold(f64::MAX, f64::min);
            if lowest <= MAX_ZERO_THRESHOLD {
                self.widen_to(lowest);
            } else if self.schema > MIN_SCHEMA {
                self.reduce_to(self.schema - 1);
            } else {
                return;
            }
        }
    }

    fn reduce_to(&mut self, schema: i32) {
        self.schema = schema;
        self.widen_to(self.zero_threshold);
    }

    /// Widens the zero bucket to the next bound of the schema that is a power of 2.
    fn widen_to(&mut self, threshold: f64) {
        self.zero_threshold = threshold;
        self.zero_threshold = exponential::upper_bound(self.zero_index(), self.schema);
    }

    /// The index of the bucket whose upper bound is the zero threshold, or the next power of 2.
    fn zero_index(&self) -> i32 {
        let octave = exponential::octave(self.zero_threshold);
        if self.schema < 0 { exponential::coarser(octave, 0, self.schema) } else { octave << self.schema }
    }

    /// Replaces `native` with the native buckets of this resolution, and `classic` as in [`Resolution::limit`].
    fn fill(
        &self,
        counts: &Counts,
        buckets: &'static Buckets,
        cache: &mut LaneCache,
        classic: &mut Vec<u64>,
        native: &mut NativeBuckets,
    ) {
        classic.clear();
        classic.resize(buckets.classic(), 0);
        let NativeBuckets { schema, zero_threshold, zero_count, positive, negative } = native;
        (*schema, *zero_threshold, *zero_count) = (self.schema, self.zero_threshold, counts.zero);
        positive.clear();
        negative.clear();
        let zero_index = self.zero_index();
        for (key, counts) in &counts.chunks {
            let schema = buckets.schema_of(*key);
            let list = if key.is_negative() { &mut *negative } else { &mut *positive };
            let mut last = zero_index;
            for (lane, count) in cache.lanes(buckets, *key).iter().zip(counts).filter(|(_, count)| **count > 0) {
                classic[lane.classic] += count;
                let index = exponential::coarser(lane.index, schema, self.schema);
                if index > last {
                    list.push((index, *count));
                    last = index;
                } else if index <= zero_index {
                    *zero_count += count;
                } else if let Some((_, total)) = list.last_mut() {
                    *total += count;
                }
            }
        }
        // Neighboring chunks can share a bucket, and coarse chunks come last, whatever their magnitude.
        merge_equal(positive);
        merge_equal(negative);
    }
}

impl NativeBuckets {
    /// Returns the sum of two histograms, with the coarser resolution of the two.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        let schema = self.schema.min(other.schema);
        let mut resolution = Resolution { schema, zero_threshold: self.zero_threshold.max(other.zero_threshold) };
        resolution.reduce_to(schema);
        let zero_threshold = resolution.zero_threshold;
        let mut sum = Self { schema, zero_threshold, ..Self::default() };
        for one in [self, other] {
            sum.zero_count += one.zero_count;
            for (of_one, list) in [(&one.positive, &mut sum.positive), (&one.negative, &mut sum.negative)] {
                for (index, count) in of_one {
                    let index = exponential::coarser(*index, one.schema, schema);
                    if exponential::upper_bound(index, schema) <= zero_threshold {
                        sum.zero_count += count;
                    } else {
                        list.push((index, *count));
                    }
                }
            }
        }
        merge_equal(&mut sum.positive);
        merge_equal(&mut sum.negative);
        sum
    }

    /// Returns true if these buckets can be exported with this total count.
    pub(crate) fn is_valid(&self, count: u64) -> bool {
        let Self { schema, zero_threshold, zero_count, positive, negative } = self;
        let lists = [positive, negative];
        let total = lists.into_iter().flatten().try_fold(*zero_count, |total, (_, count)| total.checked_add(*count));
        (MIN_SCHEMA..=MAX_SCHEMA).contains(schema)
            && zero_threshold.is_finite()
            && *zero_threshold >= 0.0
            && total == Some(count)
            && i64::try_from(count).is_ok()
            && lists.into_iter().flatten().all(|(index, _)| index.unsigned_abs() <= LAST_OCTAVE << (*schema).max(0))
            && lists.into_iter().all(|list| list.is_sorted_by(|(one, _), (next, _)| one < next))
    }
}

/// Sorts buckets by index, and adds up those with equal indexes.
fn merge_equal(list: &mut Vec<(i32, u64)>) {
    if list.is_sorted_by(|(one, _), (next, _)| one < next) {
        return;
    }
    list.sort_by_key(|(index, _)| *index);
    list.dedup_by(|(next, count), (one, total)| {
        let is_same = next == one;
        if is_same {
            *total += *count;
        }
        is_same
    });
}

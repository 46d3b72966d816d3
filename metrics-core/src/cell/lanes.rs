//! The lanes of a native histogram: its exponential buckets, divided at the bounds of its classic buckets.
//!
//! An observation is counted in a single lane, from which a reader derives both kinds of buckets. The lanes of one sign
//! are numbered by magnitude. A lane's number is the position of its exponential bucket plus the number of classic
//! bounds of smaller magnitude that divide a bucket. Each resolution has its own numbers.

use super::exponential::{self, COARSE_SCHEMA, MAX_SCHEMA, ZERO_THRESHOLD, index_at};

/// The divisions of the exponential buckets by the classic bounds.
#[derive(Debug)]
pub(super) struct Lanes {
    /// The schema of the fine lanes.
    schema: i32,
    /// The number of bounds below 0.
    negative_bounds: usize,
    /// The number of bounds that are at most 0.
    bounds_up_to_zero: usize,
    /// The divisions of fine and coarse buckets of positive values.
    positive: [Divisions; 2],
    /// Like `positive`, for the magnitudes of negative values.
    negative: [Divisions; 2],
}

/// The divisions of the buckets of one sign and one resolution.
#[derive(Debug)]
struct Divisions {
    /// `dividing_of[n]` is the number of bounds, among the first `n`, that divide a bucket.
    dividing_of: Vec<u32>,
    /// The first lane beyond each bound, in order of magnitude.
    beyond: Vec<u32>,
}

impl Divisions {
    /// `bounds` are magnitudes in ascending order. A positive value has passed a bound if it is larger, and a negative
    /// one also if it is equal.
    fn new(bounds: impl Iterator<Item = f64>, schema: i32, are_negative: bool) -> Self {
        let mut divisions = Self { dividing_of: vec![0], beyond: Vec::new() };
        let mut dividing = 0;
        for bound in bounds {
            // All lanes are beyond a bound in the zero bucket.
            let beyond = match exponential::position(bound).map(|position| position >> (MAX_SCHEMA - schema)) {
                None => 0,
                Some(position) => {
                    let beyond = position + dividing + 1;
                    if are_negative || upper_bound(position, schema) > bound {
                        dividing += 1;
                    }
                    beyond
                }
            };
            divisions.beyond.push(beyond);
            divisions.dividing_of.push(dividing);
        }
        divisions
    }
}

/// The upper bound of the bucket at this position of a schema.
fn upper_bound(position: u32, schema: i32) -> f64 {
    exponential::upper_bound(index_at(position, schema), schema)
}

impl Lanes {
    pub(super) fn new(bounds: &[f64], schema: i32) -> Self {
        let negative_bounds = bounds.partition_point(|bound| *bound < 0.0);
        let bounds_up_to_zero = bounds.partition_point(|bound| *bound <= 0.0);
        let resolutions = [schema, COARSE_SCHEMA];
        let positive = |schema| Divisions::new(bounds[bounds_up_to_zero..].iter().copied(), schema, false);
        let negative =
            |schema| Divisions::new(bounds[..negative_bounds].iter().rev().map(|bound| -bound), schema, true);
        Self {
            schema,
            negative_bounds,
            bounds_up_to_zero,
            positive: resolutions.map(positive),
            negative: resolutions.map(negative),
        }
    }

    fn divisions(&self, is_negative: bool, is_coarse: bool) -> &Divisions {
        let divisions = if is_negative { &self.negative } else { &self.positive };
        &divisions[usize::from(is_coarse)]
    }

    /// The fine and the coarse lane of a value outside of the zero bucket. `position` is that of its magnitude in
    /// [`MAX_SCHEMA`], and `classic` is the position of its classic bucket.
    pub(super) fn of(&self, position: u32, is_negative: bool, classic: usize) -> [u32; 2] {
        let passed = if is_negative { self.negative_bounds - classic } else { classic - self.bounds_up_to_zero };
        [(self.schema, false), (COARSE_SCHEMA, true)].map(|(schema, is_coarse)| {
            (position >> (MAX_SCHEMA - schema)) + self.divisions(is_negative, is_coarse).dividing_of[passed]
        })
    }

    /// The index of the exponential bucket, and the position of the classic bucket, of each lane from `first` onward.
    pub(super) fn buckets_from(
        &self,
        first: u32,
        is_negative: bool,
        is_coarse: bool,
    ) -> impl Iterator<Item = LaneBuckets> {
        let Divisions { beyond, dividing_of } = self.divisions(is_negative, is_coarse);
        let schema = if is_coarse { COARSE_SCHEMA } else { self.schema };
        (first..).map(move |lane| {
            let passed = beyond.partition_point(|beyond| *beyond <= lane);
            let position = lane.saturating_sub(dividing_of[passed]);
            let classic = if is_negative { self.negative_bounds - passed } else { self.bounds_up_to_zero + passed };
            LaneBuckets { index: index_at(position, schema), classic }
        })
    }
}

/// The buckets that count the observations in a lane.
#[derive(Clone, Copy)]
pub(super) struct LaneBuckets {
    /// The index of the exponential bucket.
    pub(super) index: i32,
    /// The position of the classic bucket.
    pub(super) classic: usize,
}

/// A table that maps positive values to fine lanes, indexed by the leading bits of the value.
///
/// Values with the same leading bits form a part, which usually has at most two lanes. The entry of a part consists of
/// the remaining bits of the largest value in its first lane and, in the low bits, the number of that lane. The table
/// covers the range in which most values are expected.
#[derive(Debug)]
pub(super) struct LaneTable {
    /// The leading bits of the first part. In an empty table, they are larger than those of any value.
    first_part: u64,
    parts: Vec<u64>,
}

/// The number of leading bits of a mantissa that select a part.
const PART_BITS: u32 = 7;
/// The number of bits in which the numbers of a part may differ.
const REST: u32 = 52 - PART_BITS;
/// The number of bits of a lane in the table.
const LANE_BITS: u32 = 64 - REST;
/// The number of factors of 2 that a table covers below the lowest bound, if the bounds leave room for them.
const BELOW: u64 = 20;
/// The number of factors of 2 that a table covers above the highest bound.
const ABOVE: u64 = 3;
/// The maximum number of factors of 2 that a table covers, which limits it to 40 KiB.
const MOST: u64 = 40;

/// A lane number that marks a part with more than two lanes. No chunk contains this lane.
pub(super) const CROWDED: u32 = (1 << LANE_BITS) - 1;
/// The finest schema with a table. The parts of a finer one would all be crowded.
const FINEST: i32 = 6;

impl LaneTable {
    /// A table that contains no lanes.
    pub(super) const NONE: Self = Self { first_part: u64::MAX >> 1, parts: Vec::new() };

    /// Creates the table for these positive bounds. `lane_of` returns the lane of a value, which increases with it.
    ///
    /// Returns an empty table if the bounds are too far apart, or if the schema is too fine.
    pub(super) fn new(bounds: &[f64], schema: i32, lane_of: impl Fn(f64) -> Option<u32>) -> Self {
        let positive = &bounds[bounds.partition_point(|bound| *bound <= ZERO_THRESHOLD)..];
        let exponent = |bound: &f64| bound.to_bits() >> 52;
        let (lowest, highest) = (positive.first().map_or(1_023, exponent), positive.last().map_or(1_023, exponent));
        let end = (highest + 1 + ABOVE).min(exponent(&f64::MAX) + 1);
        let first = lowest.saturating_sub(BELOW).max(end - MOST).max(exponent(&ZERO_THRESHOLD) + 1);
        if first > lowest || schema > FINEST {
            return Self::NONE;
        }
        let parts = first << PART_BITS..end << PART_BITS;
        let part = |part: u64| {
            let lane = |bits: u64| lane_of(f64::from_bits(bits));
            let (mut low, mut high) = (part << REST, ((part + 1) << REST) - 1);
            let (first, last) = (lane(low)?, lane(high)?);
            if last > first + 1 || last >= CROWDED {
                return Some(u64::MAX);
            }
            if first != last {
                // The lane changes after `low`, and not after `high`.
                while low + 1 < high {
                    let middle = low.midpoint(high);
                    if lane(middle)? == first { low = middle } else { high = middle }
                }
                high = low;
            }
            Some(high << LANE_BITS | u64::from(first))
        };
        let first_part = parts.start;
        match parts.map(part).collect() {
            Some(parts) => Self { first_part, parts },
            None => Self::NONE,
        }
    }

    /// The lane of a value; `None` or [`CROWDED`] if the table does not contain it.
    #[inline]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a lane has at most 19 bits, and a part is a position in memory"
    )]
    pub(super) fn find(&self, value: f64) -> Option<u32> {
        let bits = value.to_bits();
        let part = *self.parts.get((bits >> REST).wrapping_sub(self.first_part) as usize)?;
        // If the remaining bits are equal, the lane number in the low bits of the entry does not make the result true.
        let is_above = bits << LANE_BITS > part;
        Some((part & ((1 << LANE_BITS) - 1)) as u32 + u32::from(is_above))
    }
}

//! The buckets of a metric, which all its series share, and the layout of a cell with exponential buckets.

use std::ops::Range;
use std::time::Duration;

use super::bound_lookup::BoundLookup;
use super::exponential::{self, COARSE_SCHEMA, MAX_SCHEMA, ZERO_THRESHOLD};
use super::handle::Handle;
use super::lanes::{LaneBuckets, LaneTable, Lanes};
use super::sync::{CHUNK_BUCKETS, FINE_CHUNKS};
use super::thread_block::Pages;

/// The buckets in which observations are counted.
#[derive(Debug)]
pub struct Buckets {
    /// The upper bounds of the classic buckets, excluding `+Inf`.
    pub(crate) bounds: Vec<f64>,
    pub(crate) exponential: Option<Exponential>,
    /// Adds an observation to a series with these buckets.
    pub(super) observe: Observe,
    lookup: BoundLookup,
    /// The number of classic buckets, including `+Inf`.
    classic: usize,
    /// The number of chunk handles that a cell caches.
    cached: usize,
    words: usize,
    /// The division of exponential buckets into lanes, if there are classic buckets as well.
    lanes: Option<Lanes>,
    table: LaneTable,
    /// The positions of the classic buckets that contain values close to 0.
    zero_classic: Range<usize>,
}

/// A function that adds an observation to a series. It is specialized for the cell layout, so that offsets are
/// compile-time constants.
pub(super) type Observe = fn(&Pages, Handle, &'static Buckets, f64);

impl PartialEq for Buckets {
    fn eq(&self, other: &Self) -> bool {
        // The other fields follow from these.
        self.bounds == other.bounds && self.exponential == other.exponential
    }
}

/// Exponential buckets, and the values exported from them.
#[derive(Debug, PartialEq)]
pub(crate) struct Exponential {
    /// The schema of the counts, from 0 to [`MAX_SCHEMA`].
    pub(crate) schema: i32,
    pub(crate) native: Option<Native>,
    pub(crate) quantiles: Option<Quantiles>,
}

/// The native buckets that are exported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Native {
    pub(crate) schema: i32,
    pub(crate) max_buckets: usize,
}

/// The quantiles that are exported.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quantiles {
    pub(crate) quantiles: Vec<f64>,
    /// The duration of the window.
    pub(crate) max_age: Duration,
}

/// The position of a chunk: [`CHUNK_BUCKETS`] consecutive buckets of one sign and one schema. In a native histogram,
/// each of them is a lane; see [`super::lanes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChunkKey(u32);

impl ChunkKey {
    // A number is never 0, so a key always differs from an unwritten word, and `chunks::cached` from an empty one.
    const NEGATIVE: u32 = 1 << 31;
    const COARSE: u32 = 1 << 30;
    const NUMBER: u32 = Self::COARSE - 1;

    #[inline]
    pub(super) fn word(self) -> u64 {
        u64::from(self.0)
    }

    /// Returns the key with the flags in the lowest bits, which makes it a small number.
    pub(super) fn compact(self) -> u64 {
        self.0.rotate_left(2).into()
    }

    /// Restores a key from its compact form.
    pub(super) fn from_compact(compact: u64) -> Self {
        Self(u32::try_from(compact).unwrap_or_default().rotate_right(2))
    }

    pub(crate) fn is_negative(self) -> bool {
        self.0 & Self::NEGATIVE != 0
    }

    pub(crate) fn is_coarse(self) -> bool {
        self.0 & Self::COARSE != 0
    }

    /// The index of the chunk's first bucket, which has this schema and is not divided into lanes.
    pub(crate) fn first_index(self, schema: i32) -> i32 {
        exponential::index_at(self.first_lane(), schema)
    }

    fn first_lane(self) -> u32 {
        (self.0 & Self::NUMBER) << SHIFT
    }

    /// The key of the fine chunk that contains this lane of positive values, and the lane's bucket in it.
    #[inline]
    pub(super) fn of_lane(lane: u32) -> (Self, usize) {
        (Self(lane >> SHIFT), lane as usize % CHUNK_BUCKETS)
    }

    /// The position of the word that caches this chunk's handle, in a cell that caches `cached_chunks` handles.
    #[inline]
    pub(super) fn cache_word(self, cached_chunks: usize) -> usize {
        // Positive and negative values of the same magnitude must not compete for one word.
        let sign = (self.0 & Self::NEGATIVE) >> (32 - cached_chunks.trailing_zeros());
        FIRST_CACHED + ((self.0 ^ sign) as usize & (cached_chunks - 1))
    }
}

const SHIFT: u32 = CHUNK_BUCKETS.trailing_zeros();

/// The chunk and the bucket that count a value.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) key: ChunkKey,
    pub(super) bucket: usize,
    /// The coarse lane of the value.
    coarse: u32,
}

impl Place {
    /// The place of a value in these lanes.
    fn new([fine, coarse]: [u32; 2], is_negative: bool) -> Self {
        let sign = if is_negative { ChunkKey::NEGATIVE } else { 0 };
        let (key, bucket) = ChunkKey::of_lane(fine);
        Self { key: ChunkKey(key.0 | sign), bucket, coarse }
    }

    /// The place that counts the value if the series has no room for another fine chunk.
    pub(super) fn coarse(&self) -> Self {
        let (key, bucket) = ChunkKey::of_lane(self.coarse);
        Self { key: ChunkKey(key.0 | self.key.0 & ChunkKey::NEGATIVE | ChunkKey::COARSE), bucket, ..*self }
    }
}

/// The number of words before the buckets: generation, count, sum at even counts, sum at odd counts.
pub(super) const HEADER: usize = 4;

/// The first word that caches the handle of a chunk, in a cell with exponential buckets. The words that count values
/// close to 0 come last.
pub(super) const FIRST_CACHED: usize = HEADER;

impl Buckets {
    /// Creates buckets with these bounds, which must be finite and strictly increasing. Summaries with quantiles have
    /// no classic buckets.
    pub(super) fn new(bounds: Vec<f64>, exponential: Option<Exponential>, observe: Observe) -> Self {
        let lookup = BoundLookup::new(&bounds);
        let mut buckets = Self {
            classic: bounds.len() + 1,
            words: HEADER + bounds.len() + 1,
            cached: 0,
            zero_classic: 0..1,
            lanes: None,
            table: LaneTable::NONE,
            lookup,
            bounds,
            exponential,
            observe,
        };
        let Some(Exponential { schema, native, .. }) = buckets.exponential else { return buckets };
        buckets.cached = cached_chunks(schema, buckets.bounds.len());
        if native.is_some() {
            buckets.zero_classic = buckets.classic_of(-ZERO_THRESHOLD)..buckets.classic_of(ZERO_THRESHOLD) + 1;
            buckets.lanes = Some(Lanes::new(&buckets.bounds, schema));
            buckets.table = LaneTable::new(&buckets.bounds, schema, |value| Some(buckets.lanes_of(value)?[0]));
        } else {
            buckets.classic = 0;
        }
        // The times of exemplars need a word for each classic bucket.
        buckets.words = (HEADER + buckets.cached + buckets.zero_classic.len()).max(buckets.classic);
        buckets
    }

    /// The place of a value; `None` for the zero bucket.
    pub(super) fn place(&self, value: f64) -> Option<Place> {
        Some(Place::new(self.lanes_of(value)?, value.is_sign_negative()))
    }

    /// The fine and the coarse lane of a value; `None` for the zero bucket.
    fn lanes_of(&self, value: f64) -> Option<[u32; 2]> {
        let magnitude = value.abs();
        match &self.lanes {
            Some(lanes) => {
                let position = exponential::position(magnitude)?;
                Some(lanes.of(position, value.is_sign_negative(), self.classic_of(value)))
            }
            None => {
                let position = exponential::linear_position(magnitude)?;
                Some([self.schema(), COARSE_SCHEMA].map(|schema| position >> (MAX_SCHEMA - schema)))
            }
        }
    }

    /// Looks up the lane of a positive value in a native histogram. Returns `None`, or a lane that no chunk contains,
    /// if the table does not have it and it must be computed.
    #[inline]
    pub(super) fn lane_in_table(&self, value: f64) -> Option<u32> {
        self.table.find(value)
    }

    /// The exponential and the classic bucket of each bucket of a chunk. Empty for quantiles, which have no lanes.
    pub(super) fn lane_buckets(&self, key: ChunkKey) -> impl Iterator<Item = LaneBuckets> {
        let lanes = self
            .lanes
            .iter()
            .flat_map(move |lanes| lanes.buckets_from(key.first_lane(), key.is_negative(), key.is_coarse()));
        lanes.take(CHUNK_BUCKETS)
    }

    /// The position of the word that caches the handle of a chunk.
    pub(super) fn cache_word(&self, key: ChunkKey) -> usize {
        key.cache_word(self.cached)
    }

    /// The maximum number of chunks with the full resolution: enough for at least 64 factors of 2.
    pub(super) fn fine_chunks(&self) -> usize {
        // Classic bounds divide buckets into more lanes, and can shift the range of 64 factors by a fraction of a
        // chunk.
        let divisions = if self.lanes.is_some() { self.bounds.len() / CHUNK_BUCKETS + 1 } else { 0 };
        (FINE_CHUNKS << (self.schema() - 6).max(0)) + divisions
    }

    /// The schema of the buckets in fine chunks.
    fn schema(&self) -> i32 {
        self.exponential.as_ref().map_or(COARSE_SCHEMA, |exponential| exponential.schema)
    }

    /// The schema of the buckets in a chunk.
    pub(super) fn schema_of(&self, key: ChunkKey) -> i32 {
        if key.is_coarse() { COARSE_SCHEMA } else { self.schema() }
    }

    /// The word that counts a value close to 0. Other values are counted in the closest of these words.
    pub(super) fn zero_word(&self, value: f64) -> usize {
        let Range { start, end } = self.zero_classic;
        self.first_zero_word() + self.classic_of(value).clamp(start, end - 1) - start
    }

    /// The first of the words that count values close to 0, one for each classic bucket that contains such values.
    pub(super) fn first_zero_word(&self) -> usize {
        self.words - self.zero_classic.len()
    }

    /// The position of the first classic bucket that contains values close to 0.
    pub(super) fn first_zero_classic(&self) -> usize {
        self.zero_classic.start
    }

    /// The number of classic buckets, including `+Inf`. Summaries with quantiles have none.
    #[inline]
    pub(crate) fn classic(&self) -> usize {
        self.classic
    }

    /// The position of the classic bucket that contains `value`.
    #[inline]
    pub(crate) fn classic_of(&self, value: f64) -> usize {
        self.lookup.find(&self.bounds, value)
    }

    /// The number of words in a cell.
    #[inline]
    pub(super) fn words(&self) -> usize {
        self.words
    }
}

/// The number of chunk handles that a cell caches, a power of two: enough for 16 factors of 2 and all bounds.
pub(super) fn cached_chunks(schema: i32, bounds: usize) -> usize {
    ((16 << schema) + bounds).div_ceil(CHUNK_BUCKETS).next_power_of_two().clamp(4, 64)
}

#[cfg(test)]
mod tests {
    use super::super::lanes::CROWDED;
    use super::*;

    fn native(bounds: &[f64], schema: i32) -> Buckets {
        let native = Some(Native { schema, max_buckets: 160 });
        Buckets::new(bounds.to_vec(), Some(Exponential { schema, native, quantiles: None }), |_, _, _, _| {})
    }

    #[test]
    fn compact_keys_are_short_and_complete() {
        for value in [1e-38, 0.9, 1.0, 1.1, 3.0, f64::MAX] {
            for value in [value, -value] {
                let place = native(&[1.0], 6).place(value).expect("not close to 0");
                for key in [place.key, place.coarse().key] {
                    assert_eq!(ChunkKey::from_compact(key.compact()), key);
                    assert_eq!(key.is_negative(), value < 0.0);
                    assert!(key.compact() < 1 << 21);
                }
            }
        }
    }

    #[test]
    fn both_kinds_of_buckets_of_a_value_follow_from_its_place() {
        let tiny = [-1e-40, 0.0, 1e-40, 5e-39];
        let many: Vec<f64> = (1..=512).map(|bound| f64::from(bound) / 100.0).collect();
        let near_zero = [ZERO_THRESHOLD.next_down(), ZERO_THRESHOLD, ZERO_THRESHOLD.next_up()];
        let near_zero: Vec<f64> = near_zero.iter().rev().map(|bound| -bound).chain(near_zero).collect();
        let lists: [&[f64]; 11] = [
            &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0],
            &[1.0],
            &[],
            &tiny,
            &[-3.0, -2.0, -1.1, -1.0, 0.0, 1.0, 1.1, 1.2],
            // Several bounds in one bucket, next to each other, and equal to bounds of exponential buckets.
            &[1.0, 1.0 + f64::EPSILON, 1.0005, 1.001, 1.02, 2.0, 2.0_f64.sqrt() * 2.0, 4.0],
            &[-1e300, -1e-300, 1e-30, 1e300],
            &[f64::MIN, f64::MAX],
            &[1e3, 1e6, 1e9],
            &many,
            &near_zero,
        ];
        let mut with_table = Vec::new();
        for (at, schema) in (0..lists.len()).flat_map(|at| [0, 3, 8].map(|schema| (at, schema))) {
            let bounds = lists[at];
            let buckets = native(bounds, schema);
            let exponential = (-40..40).flat_map(|index| {
                let bound = exponential::upper_bound(index, schema);
                [bound, -bound]
            });
            let around = |value: f64| [value.next_down(), value, value.next_up()];
            let near = bounds.iter().copied().chain(exponential).flat_map(around);
            let others = (-300..300).flat_map(|exponent| {
                let value = 1.37_f64.powi(exponent);
                [value, -value]
            });
            let mut found = 0;
            for value in near.chain(others).chain([0.0, -0.0, f64::MAX, f64::MIN]).filter(|value| value.is_finite()) {
                let Some(place) = buckets.place(value) else {
                    assert!(value.abs() <= ZERO_THRESHOLD);
                    let word = buckets.zero_word(value);
                    let classic = buckets.first_zero_classic() + word - buckets.first_zero_word();
                    assert!(word < buckets.words() && classic == buckets.classic_of(value), "{value:e} in {bounds:?}");
                    continue;
                };
                for (place, schema) in [(place, schema), (place.coarse(), COARSE_SCHEMA)] {
                    let LaneBuckets { index, classic } =
                        buckets.lane_buckets(place.key).nth(place.bucket).expect("in the chunk");
                    let above = exponential::upper_bound(index - 1, schema) < value.abs();
                    let what = format!("{value:e} in {index} and {classic} of schema {schema}, {bounds:?}");
                    assert!(above && value.abs() <= exponential::upper_bound(index, schema), "{what}");
                    assert_eq!(classic, buckets.classic_of(value), "{what}");
                }
                let lane = buckets.lane_in_table(value).filter(|lane| *lane != CROWDED);
                assert!(lane.is_none_or(|lane| Some(lane) == buckets.lanes_of(value).map(|[fine, _]| fine)));
                found += usize::from(lane.is_some());
            }
            with_table.extend((found > 0).then_some((at, schema)));
        }
        // Bounds that are too far apart and fine schemas have no table.
        assert!(
            [(0, 3), (1, 3), (2, 3), (4, 3), (8, 3)].iter().all(|usual| with_table.contains(usual)),
            "{with_table:?}"
        );
        assert!(!with_table.contains(&(0, 8)) && !with_table.contains(&(6, 3)), "{with_table:?}");
    }

    #[test]
    fn the_quantiles_of_a_value_follow_from_its_place() {
        for schema in 0..=MAX_SCHEMA {
            let exponential = Some(Exponential { schema, native: None, quantiles: None });
            let buckets = Buckets::new(Vec::new(), exponential, |_, _, _, _| {});
            for value in [1e-30, 0.25, 0.7, 1.0, 1.01, 2.0, 1e10, f64::MAX] {
                let fine = buckets.place(value).expect("not close to 0");
                for (place, schema) in [(fine, schema), (fine.coarse(), COARSE_SCHEMA)] {
                    let index = place.key.first_index(schema) + i32::try_from(place.bucket).expect("small");
                    let error = (exponential::representative(index, schema) / value - 1.0).abs();
                    assert!(error <= exponential::relative_error(schema) * (1.0 + 1e-9), "{value}: {error}");
                }
            }
        }
    }
}

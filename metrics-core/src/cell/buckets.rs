//! The buckets of a metric, which all its series share, and the layout of a cell with exponential buckets.

use std::time::Duration;

use super::exponential::{self, MAX_SCHEMA, ORIGIN};
use super::handle::Handle;
use super::sync::{CHUNK_BUCKETS, FINE_CHUNKS};

/// The buckets in which observations are counted.
#[derive(Debug)]
pub struct Buckets {
    /// The upper bounds of the classic buckets, excluding `+Inf`.
    pub(crate) bounds: Vec<f64>,
    pub(crate) exponential: Option<Exponential>,
    /// Adds an observation to a series with these buckets.
    pub(crate) observe: Observe,
    lookup: BoundLookup,
    /// The number of classic buckets, including `+Inf`.
    classic: usize,
    words: usize,
}

/// A function that adds an observation to a series. It is specialized for the cell layout, so that offsets are
/// compile-time constants.
pub(crate) type Observe = fn(Handle, &'static Buckets, f64);

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

/// The position of a chunk: [`CHUNK_BUCKETS`] consecutive buckets of one sign and one schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChunkKey(u32);

impl ChunkKey {
    // A number is never 0, so a key always differs from an unwritten word.
    const NEGATIVE: u32 = 1 << 31;
    const COARSE: u32 = 1 << 30;
    const NUMBER: u32 = Self::COARSE - 1;

    #[inline]
    pub(super) fn word(self) -> u64 {
        u64::from(self.0)
    }

    /// The key as a small number.
    pub(super) fn compact(self) -> u64 {
        self.0.rotate_left(2).into()
    }

    /// The key with this compact form.
    pub(super) fn from_compact(compact: u64) -> Self {
        Self(u32::try_from(compact).unwrap_or_default().rotate_right(2))
    }

    pub(crate) fn is_negative(self) -> bool {
        self.0 & Self::NEGATIVE != 0
    }

    pub(crate) fn is_coarse(self) -> bool {
        self.0 & Self::COARSE != 0
    }

    /// The index of the chunk's first bucket, which has this schema.
    pub(crate) fn first_index(self, schema: i32) -> i32 {
        let position = i32::try_from((self.0 & Self::NUMBER) << SHIFT).unwrap_or(i32::MAX);
        position - (ORIGIN >> (MAX_SCHEMA - schema)) + 1
    }

    /// The position of the word that caches this chunk's handle, in a cell that caches `cached_chunks` handles.
    #[inline]
    pub(super) fn cache_word(self, cached_chunks: usize) -> usize {
        // Positive and negative values of the same magnitude must not compete for one word. For a positive key that is
        // known at compile time to be positive, the sign costs nothing.
        let sign = (self.0 & Self::NEGATIVE) >> (32 - cached_chunks.trailing_zeros());
        FIRST_CACHED + ((self.0 ^ sign) as usize & (cached_chunks - 1))
    }
}

const SHIFT: u32 = CHUNK_BUCKETS.trailing_zeros();

/// The schema of the chunks that hold values outside of the fine chunks: one bucket for each factor of 2.
pub(crate) const COARSE_SCHEMA: i32 = 0;

/// The bucket of a value.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) key: ChunkKey,
    pub(super) bucket: usize,
    /// The position of the value's magnitude in the finest schema.
    position: u32,
}

impl Place {
    /// The bucket of this value in a schema from 0 to [`MAX_SCHEMA`]; `None` for the zero bucket. Linear buckets represent
    /// quantiles.
    pub(super) fn of(value: f64, schema: i32, is_linear: bool) -> Option<Self> {
        let sign = if value.is_sign_negative() { ChunkKey::NEGATIVE } else { 0 };
        let Self { position, .. } = Self::of_positive(value.abs(), schema, is_linear)?;
        Some(Self::new(position, schema, sign))
    }

    /// Like [`Place::of`], but returns `None` for negative values as well. This takes fewer instructions.
    #[inline]
    pub(super) fn of_positive(value: f64, schema: i32, is_linear: bool) -> Option<Self> {
        let position = if is_linear { exponential::linear_position(value) } else { exponential::position(value) };
        Some(Self::new(position?, schema, 0))
    }

    #[inline]
    fn new(position: u32, schema: i32, flags: u32) -> Self {
        let coarser = position >> (MAX_SCHEMA - schema);
        Self { key: ChunkKey(flags | coarser >> SHIFT), bucket: coarser as usize % CHUNK_BUCKETS, position }
    }

    /// The bucket that counts the value if the series has no room for another fine chunk.
    pub(super) fn coarse(&self) -> Self {
        Self::new(self.position, COARSE_SCHEMA, self.key.0 & ChunkKey::NEGATIVE | ChunkKey::COARSE)
    }
}

/// The number of words before the buckets: generation, count, sum at even counts, sum at odd counts.
pub(super) const HEADER: usize = 4;

// In a cell with exponential buckets, the classic buckets come last.

/// The word that counts values close to 0.
pub(super) const ZERO_WORD: usize = HEADER;
/// The first word that caches the handle of a chunk.
pub(super) const FIRST_CACHED: usize = ZERO_WORD + 1;

impl Buckets {
    /// Creates buckets with these bounds, which must be finite and strictly increasing. Summaries with quantiles have no
    /// classic buckets.
    pub(crate) fn new(bounds: Vec<f64>, exponential: Option<Exponential>, observe: Observe) -> Self {
        let classic = match &exponential {
            Some(exponential) if !exponential.has_classic() => 0,
            _ => bounds.len() + 1,
        };
        let cached = exponential.as_ref().map_or(0, |exponential| 1 + cached_chunks(exponential.schema));
        let words = HEADER + cached + classic;
        Self { lookup: BoundLookup::new(&bounds), classic, words, bounds, exponential, observe }
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

    /// The position of the first classic bucket in a cell.
    #[inline]
    pub(super) fn first_classic(&self) -> usize {
        self.words - self.classic
    }

    /// The number of words in a cell.
    #[inline]
    pub(super) fn words(&self) -> usize {
        self.words
    }
}

/// Finds the bucket of a value by its leading bits.
///
/// The numbers with the same leading bits form a part. For each part, the table has the first bound that is not below
/// the part. Most parts contain at most one bound.
struct BoundLookup {
    /// The number of trailing bits in which the numbers of a part may differ.
    shift: u32,
    /// The leading bits of the first part, which also covers all smaller positive numbers.
    first: u64,
    /// The last part also covers all larger numbers.
    table: [u8; PARTS],
    /// The bounds, padded with infinity.
    bounds: [f64; PARTS],
    /// True if the bounds do not fit into the table. Lookups then use a binary search.
    is_search: bool,
}

/// The number of parts, and the maximum number of bounds that a table can refer to.
const PARTS: usize = 256;

impl BoundLookup {
    fn new(bounds: &[f64]) -> Self {
        let mut lookup =
            Self { shift: 52, first: 0, table: [0; PARTS], bounds: [f64::INFINITY; PARTS], is_search: true };
        let positive = &bounds[bounds.partition_point(|bound| *bound <= 0.0)..];
        let (Some(lowest), Some(highest)) = (positive.first(), positive.last()) else { return lookup };
        let span = |shift: u32| (lowest.to_bits() >> shift) - 1..=(highest.to_bits() >> shift) + 1;
        // The narrowest parts that fit into the table.
        let fits = |shift: &u32| span(*shift).count() <= PARTS;
        if bounds.len() >= PARTS || lowest.is_subnormal() {
            return lookup;
        }
        let Some(shift) = (44..=52).find(fits) else { return lookup };
        lookup.bounds[..bounds.len()].copy_from_slice(bounds);
        let (first, last) = (*span(shift).start(), *span(shift).end());
        lookup.table.fill(u8::try_from(bounds.len()).unwrap_or(u8::MAX));
        for (part, at) in (first..=last).zip(&mut lookup.table) {
            let begin = if part == first { 0.0 } else { f64::from_bits(part << shift) };
            *at = u8::try_from(bounds.partition_point(|bound| *bound < begin)).unwrap_or(u8::MAX);
        }
        Self { shift, first, is_search: false, ..lookup }
    }

    #[inline]
    fn find(&self, bounds: &[f64], value: f64) -> usize {
        if self.is_search | value.is_sign_negative() {
            return bounds.partition_point(|bound| *bound < value);
        }
        let part = (value.to_bits() >> self.shift).saturating_sub(self.first).min(PARTS as u64 - 1);
        let mut at = self.table[usize::try_from(part).unwrap_or(PARTS - 1)];
        // Branch-free, because if the part contains a bound, both outcomes are likely.
        at += u8::from(self.bounds[usize::from(at)] < value);
        while self.bounds[usize::from(at)] < value {
            at += 1;
        }
        usize::from(at)
    }
}

impl std::fmt::Debug for BoundLookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoundLookup").finish_non_exhaustive()
    }
}

/// The number of chunk handles that a cell caches, a power of two: enough for 16 factors of 2.
pub(super) const fn cached_chunks(schema: i32) -> usize {
    let chunks = (16 << schema) / CHUNK_BUCKETS;
    if chunks < 4 { 4 } else { chunks }
}

impl Exponential {
    /// Returns true if observations are counted in classic buckets as well.
    pub(super) fn has_classic(&self) -> bool {
        self.native.is_some()
    }

    /// The bucket of this value; `None` for the zero bucket.
    pub(super) fn place(&self, value: f64) -> Option<Place> {
        Place::of(value, self.schema, self.is_linear())
    }

    /// Returns true if the buckets are linear between powers of 2. Only native histograms need exponential ones.
    fn is_linear(&self) -> bool {
        self.native.is_none()
    }

    /// The maximum number of chunks with the full resolution: enough for at least 64 factors of 2.
    pub(super) fn fine_chunks(&self) -> usize {
        FINE_CHUNKS << (self.schema - 6).max(0)
    }

    /// The schema of the buckets in a chunk.
    pub(crate) fn schema_of(&self, key: ChunkKey) -> i32 {
        if key.is_coarse() { COARSE_SCHEMA } else { self.schema }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_finds_the_bucket_that_a_search_finds() {
        let lists: [&[f64]; 9] = [
            &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0],
            &[1.0],
            &[-1.0, 0.0, 1.0],
            &[-2.0, -1.0],
            &[0.0],
            &[],
            // Many bounds in one part, and parts that are too far apart for a table.
            &[1.0, 1.0 + f64::EPSILON],
            &[1e-300, 1e300],
            &[f64::MIN_POSITIVE, 1.0, f64::MAX],
        ];
        let linear: Vec<f64> = (1..=512).map(f64::from).collect();
        let mut with_table = 0;
        for bounds in lists.into_iter().chain([&linear[..]]) {
            let lookup = BoundLookup::new(bounds);
            with_table += usize::from(!lookup.is_search);
            let near = bounds.iter().flat_map(|bound| [bound.next_down(), *bound, bound.next_up()]);
            let others = (-400..400).flat_map(|exponent| {
                let value = 1.37_f64.powi(exponent);
                [value, -value]
            });
            let extremes = [0.0, -0.0, f64::MIN, f64::MAX, 5e-324];
            for value in near.chain(others).chain(extremes).filter(|value| value.is_finite()) {
                let expected = bounds.partition_point(|bound| *bound < value);
                assert_eq!(lookup.find(bounds, value), expected, "{value} in {bounds:?}");
            }
        }
        assert_eq!(with_table, 4);
    }

    #[test]
    fn compact_keys_are_short_and_complete() {
        for value in [1e-38, 0.9, 1.0, 1.1, 3.0, f64::MAX] {
            for value in [value, -value] {
                let place = Place::of(value, 6, false).expect("not close to 0");
                for key in [place.key, place.coarse().key] {
                    assert_eq!(ChunkKey::from_compact(key.compact()), key);
                    assert_eq!(key.is_negative(), value < 0.0);
                    assert!(key.compact() < 1 << 21);
                }
            }
        }
    }

    #[test]
    fn a_value_is_in_the_bucket_of_its_place() {
        for schema in 0..=MAX_SCHEMA {
            for value in [1e-30, 0.25, 0.7, 1.0, 1.01, 2.0, 1e10, f64::MAX] {
                let fine = Place::of(value, schema, false).expect("not close to 0");
                for (place, schema) in [(fine, schema), (fine.coarse(), COARSE_SCHEMA)] {
                    let index = place.key.first_index(schema) + i32::try_from(place.bucket).expect("small");
                    let within = exponential::upper_bound(index - 1, schema) < value;
                    assert!(
                        within && value <= exponential::upper_bound(index, schema),
                        "{value} in {index} of {schema}"
                    );
                }
            }
        }
    }
}

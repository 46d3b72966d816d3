//! Counts of buckets or lanes as plain numbers, and their compact form.

use std::ptr;

use super::buckets::{Buckets, ChunkKey, Exponential};
use super::exponential::{self, COARSE_SCHEMA};
use super::lanes::LaneBuckets;
use super::sync::CHUNK_BUCKETS;
use super::varint::{pop, push};

/// The counts of a series' buckets, or of its lanes if it is a native histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    /// The number of values close to 0.
    pub(crate) zero: u64,
    /// The chunks, sorted by key.
    pub(crate) chunks: Vec<(ChunkKey, [u64; CHUNK_BUCKETS])>,
}

impl Counts {
    pub(crate) fn clear(&mut self) {
        self.zero = 0;
        self.chunks.clear();
    }

    /// The counts of the chunk with this key, which is added if it is missing.
    pub(crate) fn chunk(&mut self, key: ChunkKey) -> &mut [u64; CHUNK_BUCKETS] {
        let at = match self.chunks.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(at) => at,
            Err(at) => {
                self.chunks.insert(at, (key, [0; CHUNK_BUCKETS]));
                at
            }
        };
        &mut self.chunks[at].1
    }

    pub(crate) fn total(&self) -> u64 {
        self.zero + self.chunks.iter().flat_map(|(_, counts)| counts).sum::<u64>()
    }

    /// Adds counts.
    pub(crate) fn add(&mut self, counts: &CompactCounts) {
        self.zero += counts.each(|key, bucket, count| self.chunk(key)[bucket] += count);
    }

    /// Subtracts counts, which must not be larger.
    pub(crate) fn subtract(&mut self, counts: &CompactCounts) {
        let zero = counts.each(|key, bucket, count| {
            let own = &mut self.chunk(key)[bucket];
            *own = own.saturating_sub(count);
        });
        self.zero = self.zero.saturating_sub(zero);
    }

    /// Passes the value that represents each bucket, and the bucket's count, to `visit`, in ascending order.
    fn ascending(&self, exponential: &Exponential, mut visit: impl FnMut(f64, u64)) {
        let of_chunk = |(key, counts): &(ChunkKey, [u64; CHUNK_BUCKETS])| {
            let schema = if key.is_coarse() { COARSE_SCHEMA } else { exponential.schema };
            let first = key.first_index(schema);
            let sign = if key.is_negative() { -1.0 } else { 1.0 };
            let buckets = (first..).zip(*counts).filter(|(_, count)| *count > 0);
            buckets.map(move |(index, count)| (sign * exponential::representative(index, schema), count))
        };
        if self.chunks.iter().any(|(key, _)| key.is_coarse()) {
            let mut all: Vec<(f64, u64)> = self.chunks.iter().flat_map(of_chunk).collect();
            all.push((0.0, self.zero));
            all.sort_by(|(one, _), (other, _)| one.total_cmp(other));
            for (value, count) in all {
                visit(value, count);
            }
            return;
        }
        // The negative keys are last, and larger keys mean larger magnitudes.
        let negative = self.chunks.partition_point(|(key, _)| !key.is_negative());
        for chunk in self.chunks[negative..].iter().rev() {
            let mut buckets: Vec<(f64, u64)> = of_chunk(chunk).collect();
            buckets.reverse();
            for (value, count) in buckets {
                visit(value, count);
            }
        }
        visit(0.0, self.zero);
        for (value, count) in self.chunks[..negative].iter().flat_map(of_chunk) {
            visit(value, count);
        }
    }

    /// Appends each of the sorted quantiles and its value, which is NaN if there are no values.
    ///
    /// The `q`-quantile of `n` values is the smallest value that is not less than `q * n` of them.
    #[expect(clippy::cast_precision_loss, reason = "counts above 2^53 may be rounded")]
    pub(crate) fn quantiles(&self, exponential: &Exponential, quantiles: &[f64], values: &mut Vec<(f64, f64)>) {
        let total = self.total() as f64;
        let mut rest = quantiles.iter().copied().peekable();
        let mut seen = 0;
        let mut last = f64::NAN;
        if total > 0.0 {
            self.ascending(exponential, |value, count| {
                seen += count;
                if count > 0 {
                    last = value;
                }
                while let Some(quantile) = rest.next_if(|quantile| seen > 0 && seen as f64 >= quantile * total) {
                    values.push((quantile, value));
                }
            });
        }
        // Rounding may make `q * n` larger than `n`.
        values.extend(rest.map(|quantile| (quantile, last)));
    }
}

/// The buckets of the lanes of some chunks, cached because all series of a family have the same ones.
#[derive(Default)]
pub(super) struct LaneCache {
    of: Option<&'static Buckets>,
    chunks: Vec<(ChunkKey, Vec<LaneBuckets>)>,
}

impl LaneCache {
    /// The buckets of each lane of a chunk.
    #[inline]
    pub(super) fn lanes(&mut self, buckets: &'static Buckets, key: ChunkKey) -> &[LaneBuckets] {
        if !self.of.is_some_and(|of| ptr::eq(of, buckets)) {
            *self = Self { of: Some(buckets), chunks: Vec::new() };
        }
        let at = self.chunks.iter().position(|(cached, _)| *cached == key).unwrap_or_else(|| {
            self.chunks.push((key, buckets.lane_buckets(key).collect()));
            self.chunks.len() - 1
        });
        &self.chunks[at].1
    }
}

/// Counts in a form that needs one or two bytes for most buckets.
///
/// The zero count is first. For each chunk with counts, its key follows, then its counts. A count of 0 is followed by
/// the number of zeros. All numbers have a variable length.
#[derive(Debug, Default)]
pub(crate) struct CompactCounts(Box<[u8]>);

impl CompactCounts {
    pub(crate) fn of(counts: &Counts) -> Self {
        let mut bytes = Vec::new();
        push(&mut bytes, counts.zero);
        for (key, counts) in counts.chunks.iter().filter(|(_, counts)| counts.iter().any(|count| *count > 0)) {
            push(&mut bytes, key.compact());
            let mut counts = counts.iter().copied().peekable();
            while let Some(count) = counts.next() {
                push(&mut bytes, count);
                if count == 0 {
                    let mut zeros = 1;
                    while counts.next_if_eq(&0).is_some() {
                        zeros += 1;
                    }
                    push(&mut bytes, zeros);
                }
            }
        }
        Self(bytes.into_boxed_slice())
    }

    /// Passes the key, the bucket and the count of each bucket with counts to `visit`. Returns the zero count.
    fn each(&self, mut visit: impl FnMut(ChunkKey, usize, u64)) -> u64 {
        let mut bytes = &self.0[..];
        let zero = pop(&mut bytes);
        while !bytes.is_empty() {
            let key = ChunkKey::from_compact(pop(&mut bytes));
            let mut bucket = 0;
            while bucket < CHUNK_BUCKETS {
                match pop(&mut bytes) {
                    0 => bucket += usize::try_from(pop(&mut bytes)).unwrap_or(CHUNK_BUCKETS).max(1),
                    count => {
                        visit(key, bucket, count);
                        bucket += 1;
                    }
                }
            }
        }
        zero
    }

    /// The number of bytes.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

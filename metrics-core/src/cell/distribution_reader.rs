//! Reads the counts of series with exponential buckets, and what is derived from them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;
use std::time::Instant;

use super::block::{Block, held};
use super::chunks::{self, CHUNK_WORDS, Chunk, ChunkedSeries, LARGEST, SeriesState, WIDE_WORDS};
use super::counts::{Counts, LaneCache};
use super::handle::Handle;
use super::histogram::sum_word;
use super::native::NativeBuckets;
use super::store::ReadScope;
use super::summary::read_pair;
use super::sync::{AtomicU64, CHUNK_BUCKETS, CONSISTENT_READ_ATTEMPTS, lock};
use super::thread_locals::{directory, read_scope, store};

/// A series as of one reading.
#[derive(Debug, Default)]
pub(crate) struct Distribution {
    pub(crate) count: u64,
    pub(crate) sum: f64,
    /// The non-cumulative counts of the classic buckets, ending with `+Inf`; empty if there are none.
    pub(crate) classic: Vec<u64>,
    /// The quantiles in the window, in ascending order, and their values.
    pub(crate) quantiles: Vec<(f64, f64)>,
    pub(crate) native: Option<NativeBuckets>,
}

/// Reads these series into `all`, in the order of `handles`.
pub(crate) fn read_all(handles: &[Handle], now: Instant, all: &mut Vec<Distribution>) {
    let mut reader = Reader::new(read_scope());
    // The elements are reused, so that the lists of a large family are rarely reallocated.
    all.resize_with(handles.len(), Distribution::default);
    for (handle, distribution) in handles.iter().zip(all) {
        // A removed series has left a gap.
        if handle.is_none() {
            continue;
        }
        match directory().get(*handle) {
            Some(series) => reader.read(&series, now, distribution),
            None => *distribution = Distribution::default(),
        }
    }
}

/// Ends the slices that are over by `now`, in the windows of one of the directory's shards.
///
/// Returns the time at which the next slice of these windows ends, or `None` if the shard has no windows.
pub(crate) fn advance_windows(shard: usize, now: Instant) -> Option<Instant> {
    let mut reader = Reader::new(ReadScope::All);
    let ends = directory().series(shard).into_iter().filter_map(|series| {
        let end = lock(&series.state).window.as_ref()?.end();
        if end > now {
            return Some(end);
        }
        reader.totals(&series);
        let mut state = lock(&series.state);
        let window = state.window.as_mut()?;
        window.advance(&reader.counts, now);
        Some(window.end())
    });
    ends.min()
}

/// Reads series into buffers that are reused.
struct Reader {
    scope: ReadScope,
    list: Vec<Chunk>,
    /// Scratch space for the chunk counts of one cell, in the order of `list`.
    own: Vec<[u64; CHUNK_BUCKETS]>,
    /// Scratch space for the counts of values close to 0 of one cell.
    own_zeros: Vec<u64>,
    counts: Counts,
    /// The counts of values close to 0, one for each classic bucket that contains such values.
    zeros: Vec<u64>,
    cache: LaneCache,
}

impl Reader {
    fn new(scope: ReadScope) -> Self {
        let (list, own, own_zeros, zeros) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { scope, list, own, own_zeros, counts: Counts::default(), zeros, cache: LaneCache::default() }
    }

    /// Reads a series into `to`.
    fn read(&mut self, series: &Arc<ChunkedSeries>, now: Instant, to: &mut Distribution) {
        let Distribution { count, sum, classic, quantiles: values, native } = to;
        *sum = self.totals(series);
        *count = self.counts.total();
        // Locked only now, so that a child that is forked in the meantime is unlikely to find the lock held.
        let mut state = lock(&series.state);
        let SeriesState { window, resolution } = &mut *state;
        values.clear();
        let Some(exponential) = series.exponential() else { return *to = Distribution::default() };
        if let (Some(limits), Some(resolution)) = (&exponential.native, resolution) {
            let native = native.get_or_insert_default();
            resolution.limit(&self.counts, series.buckets, limits, &mut self.cache, classic, native);
            for (bucket, count) in classic[series.buckets.first_zero_classic()..].iter_mut().zip(&self.zeros) {
                *bucket += count;
            }
            *count = classic.iter().sum();
        } else {
            classic.clear();
            *native = None;
        }
        if let (Some(quantiles), Some(window)) = (&exponential.quantiles, window) {
            // A snapshot of one thread includes all its observations.
            if matches!(self.scope, ReadScope::All) {
                window.advance(&self.counts, now);
                window.restrict(&mut self.counts);
            }
            self.counts.quantiles(exponential, &quantiles.quantiles, values);
        }
    }

    /// Adds up the counts of all blocks, and returns the sum of the observations.
    fn totals(&mut self, series: &ChunkedSeries) -> f64 {
        series.list(&mut self.list);
        self.counts.clear();
        self.zeros.clear();
        self.zeros.resize(series.buckets.words() - series.buckets.first_zero_word(), 0);
        let mut sum = 0.0;
        for block in store().blocks(self.scope) {
            let Some(of_block) = self.read_block(series, block) else { continue };
            sum += of_block;
            for (chunk, own) in self.list.iter().zip(&self.own) {
                self.counts.chunk(chunk.key).iter_mut().zip(own).for_each(|(total, own)| *total += own);
            }
            self.zeros.iter_mut().zip(&self.own_zeros).for_each(|(total, own)| *total += own);
        }
        self.counts.zero = self.zeros.iter().sum();
        sum
    }

    /// Reads the cell of a block into `own` and `own_zeros`, and returns the sum of its observations. Returns `None` if
    /// the block has no cell of the series, or if the series has ended.
    fn read_block(&mut self, series: &ChunkedSeries, block: &'static Block) -> Option<f64> {
        let cell = held(block, series.handle, series.buckets.words())?;
        let mut n = cell[1].load(Acquire);
        for _ in 0..CONSISTENT_READ_ATTEMPTS {
            let total = self.read_buckets(series, block, cell);
            let sum = total.map(|total| cell[sum_word(total)].load(Acquire));
            // Acquire, because this may also be the first count of the next attempt.
            let again = cell[1].load(Acquire);
            if let (Some(total), Some(sum)) = (total, sum)
                && again == n
                // The count of a bucket may have started again at 0.
                && total.wrapping_sub(n) & LARGEST <= 1
            {
                return Some(f64::from_bits(sum));
            }
            n = again;
            // The list of a series that has ended is empty, so its totals can never match.
            if !store().is_live(series.handle) {
                return None;
            }
            // The writer may have used a new chunk.
            series.list(&mut self.list);
        }
        loop {
            if !store().is_live(series.handle) {
                return None;
            }
            series.list(&mut self.list);
            let known = self.list.clone();
            let total = self.read_buckets(series, block, cell);
            series.list(&mut self.list);
            // The buckets of `n` observations were stored before `n`.
            if total.is_some_and(|total| self.list == known && (total >= n || n > LARGEST)) {
                return Some(read_pair(cell).1);
            }
        }
    }

    /// Reads the buckets of a cell into `own` and `own_zeros`. Returns their total, or `None` if a count could be
    /// misread.
    fn read_buckets(&mut self, series: &ChunkedSeries, block: &'static Block, cell: &[AtomicU64]) -> Option<u64> {
        self.own.resize(self.list.len(), [0; CHUNK_BUCKETS]);
        for (chunk, counts) in self.list.iter().zip(&mut self.own) {
            match held(block, chunk.narrow, CHUNK_WORDS).and_then(|cell| cell.first_chunk()) {
                Some(narrow) => chunks::read(narrow, held(block, chunk.wide, WIDE_WORDS), counts)?,
                None => counts.fill(0),
            }
        }
        self.own_zeros.clear();
        self.own_zeros.extend(cell[series.buckets.first_zero_word()..].iter().map(|word| word.load(Acquire)));
        Some(wrapping_sum(wrapping_sum(0, &self.own_zeros), self.own.iter().flatten()))
    }
}

/// Adds up counts that may be those of another series, because theirs has just ended.
fn wrapping_sum<'a>(first: u64, counts: impl IntoIterator<Item = &'a u64>) -> u64 {
    counts.into_iter().fold(first, |total, count| total.wrapping_add(*count))
}

//! Reads the counts of series with exponential buckets, and what is derived from them.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;
use std::time::Instant;

use super::buckets::ZERO_WORD;
use super::chunks::{self, CHUNK_WORDS, Chunk, ChunkedSeries, SeriesState, WIDE_WORDS};
use super::counts::Counts;
use super::handle::Handle;
use super::histogram::sum_word;
use super::native::NativeBuckets;
use super::store::{Block, ReadScope, held};
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
    all.clear();
    all.extend(handles.iter().map(|handle| match directory().get(*handle) {
        Some(series) => reader.read(&series, now),
        None => Distribution::default(),
    }));
}

/// Ends the slices that are over by `now`, in the windows of one of the directory's shards.
///
/// Returns the time at which the next slice of these windows ends; `None` if there is no window.
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
    own_classic: Vec<u64>,
    counts: Counts,
    classic: Vec<u64>,
}

/// The sum and the zero count of a consistent read of one cell.
struct CellTotals {
    sum: f64,
    zero: u64,
}

impl Reader {
    fn new(scope: ReadScope) -> Self {
        let (list, own, own_classic, classic) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { scope, list, own, own_classic, counts: Counts::default(), classic }
    }

    fn read(&mut self, series: &Arc<ChunkedSeries>, now: Instant) -> Distribution {
        let sum = self.totals(series);
        // Locked only now, so that a child that is forked in the meantime is unlikely to find the lock held.
        let mut state = lock(&series.state);
        let mut distribution = Distribution {
            count: self.counts.total(),
            sum,
            classic: mem::take(&mut self.classic),
            ..Distribution::default()
        };
        let Some(exponential) = series.exponential() else { return distribution };
        let SeriesState { window, resolution } = &mut *state;
        if let (Some(native), Some(resolution)) = (&exponential.native, resolution) {
            distribution.native = Some(resolution.limit(&self.counts, exponential, native));
        }
        if let (Some(quantiles), Some(window)) = (&exponential.quantiles, window) {
            // A snapshot of one thread includes all its observations.
            if matches!(self.scope, ReadScope::All) {
                window.advance(&self.counts, now);
                window.restrict(&mut self.counts);
            }
            self.counts.quantiles(exponential, &quantiles.quantiles, &mut distribution.quantiles);
        }
        distribution
    }

    /// Adds up the counts of all blocks, and returns the sum of the observations.
    fn totals(&mut self, series: &ChunkedSeries) -> f64 {
        series.list(&mut self.list);
        self.counts.clear();
        self.classic.clear();
        self.classic.resize(series.buckets.classic(), 0);
        let mut sum = 0.0;
        for block in store().blocks(self.scope) {
            let Some(totals) = self.read_block(series, block) else { continue };
            sum += totals.sum;
            self.counts.zero += totals.zero;
            for (chunk, own) in self.list.iter().zip(&self.own) {
                self.counts.chunk(chunk.key).iter_mut().zip(own).for_each(|(total, own)| *total += own);
            }
            self.classic.iter_mut().zip(&self.own_classic).for_each(|(total, own)| *total += own);
        }
        sum
    }

    /// Reads the cell of a block into `own` and `own_classic`. Returns `None` if the block has no cell of the series, or
    /// if the series has ended.
    fn read_block(&mut self, series: &ChunkedSeries, block: &'static Block) -> Option<CellTotals> {
        let buckets = series.buckets;
        let cell = held(block, series.handle, buckets.words())?;
        let mut n = cell[1].load(Acquire);
        for _ in 0..CONSISTENT_READ_ATTEMPTS {
            let total = self.read_exponential(block, cell);
            self.own_classic.clear();
            self.own_classic.extend(cell[buckets.first_classic()..].iter().map(|word| word.load(Acquire)));
            let is_classic_equal = |total: u64| buckets.classic() == 0 || wrapping_sum(0, &self.own_classic) == total;
            let sum = total.map(|(total, _)| cell[sum_word(total)].load(Acquire));
            // Acquire, because this may also be the first count of the next attempt.
            let again = cell[1].load(Acquire);
            if let (Some((total, zero)), Some(sum)) = (total, sum)
                && again == n
                && total.wrapping_sub(n) <= 1
                && is_classic_equal(total)
            {
                return Some(CellTotals { sum: f64::from_bits(sum), zero });
            }
            n = again;
            // The list of a series that has ended is empty, so its totals can never match.
            if !store().is_live(series.handle) {
                return None;
            }
            // The writer may have used a new chunk.
            series.list(&mut self.list);
        }
        let (total, zero) = loop {
            if !store().is_live(series.handle) {
                return None;
            }
            series.list(&mut self.list);
            let known = self.list.clone();
            let total = self.read_exponential(block, cell);
            series.list(&mut self.list);
            // The buckets of `n` observations were stored before `n`.
            if let Some(total) = total.filter(|(total, _)| self.list == known && *total >= n) {
                break total;
            }
        };
        // A writer counts an observation in the classic buckets first, so these may contain more. They are truncated to
        // the same total, as in [`super::histogram`].
        let mut rest = total;
        self.own_classic.clear();
        for word in &cell[buckets.first_classic()..] {
            let count = word.load(Acquire).min(rest);
            rest -= count;
            self.own_classic.push(count);
        }
        Some(CellTotals { sum: read_pair(cell).1, zero })
    }

    /// Reads the exponential buckets of a cell into `own`. Returns their total and the zero count, or `None` if a count
    /// could be misread.
    fn read_exponential(&mut self, block: &'static Block, cell: &[AtomicU64]) -> Option<(u64, u64)> {
        self.own.clear();
        for chunk in &self.list {
            let mut counts = [0; CHUNK_BUCKETS];
            if let Some(narrow) = held(block, chunk.narrow, CHUNK_WORDS).and_then(|cell| cell.first_chunk()) {
                chunks::read(narrow, held(block, chunk.wide, WIDE_WORDS), &mut counts)?;
            }
            self.own.push(counts);
        }
        let zero = cell[ZERO_WORD].load(Acquire);
        Some((wrapping_sum(zero, self.own.iter().flatten()), zero))
    }
}

/// Adds up counts that may be those of another series, because theirs has just ended.
fn wrapping_sum<'a>(first: u64, counts: impl IntoIterator<Item = &'a u64>) -> u64 {
    counts.into_iter().fold(first, |total, count| total.wrapping_add(*count))
}

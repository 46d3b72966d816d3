//! Observations counted in exponential buckets, and in classic buckets if there are any, with a sum that is consistent
//! with them.
//!
//! A cell starts with the same header as a histogram cell. The zero bucket follows, then a cache of the handles of the
//! chunks that the thread has used, then the classic buckets. A writer stores the new sum, then the buckets, then the count,
//! and a reader checks that the total of the buckets matches the count, as in [`super::histogram`]. If the count
//! changes on 1,000 consecutive attempts, the reader uses the total of the exponential buckets as the count. The sum
//! may then be off by a few observations.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Instant;

use super::access;
use super::buckets::{Buckets, Exponential, FIRST_CACHED, Observe, Place, ZERO_WORD, cached_chunks};
use super::chunks::{self, CHUNK_WORDS, Chunk, ChunkedSeries, SeriesState, WIDE_WORDS};
use super::counts::Counts;
use super::handle::Handle;
use super::histogram::sum_word;
use super::native::{NativeBuckets, Resolution};
use super::store::{Block, HomeWriter, ReadScope, Store, held};
use super::summary::{add_one, read_pair, record};
use super::sync::{AtomicU64, CHUNK_BUCKETS, CONSISTENT_READ_ATTEMPTS, lock};
use super::thread_block::{Pages, ThreadBlock, begin};
use super::thread_locals::{allocating, cell, directory, read_scope, store, unless_allocating, with_block, words_from};
use super::window::Window;

/// Allocates a series at 0; `None` if no slot is free.
pub(crate) fn allocate(buckets: &'static Buckets, exponential: &Exponential) -> Option<Handle> {
    let window = exponential.quantiles.as_ref();
    let window = window.map(|quantiles| Box::new(Window::aligned(quantiles.max_age, Instant::now())));
    let resolution = exponential.native.as_ref().map(Resolution::new);
    let handle = access::allocate(buckets.words())?;
    directory().insert(handle, buckets, SeriesState { window, resolution });
    Some(handle)
}

/// Ends a series and makes its slots available to other series.
pub(crate) fn free(handle: Handle, buckets: &Buckets) {
    if store().close(handle) {
        let slots = directory().remove(handle);
        allocating(|| {
            for (slot, words) in slots {
                store().give_back_slot(slot, words);
            }
            store().give_back_slot(handle, buckets.words());
        });
    }
}

/// Returns the function that adds an observation to a series with these buckets.
pub(crate) fn observe_in(exponential: &Exponential) -> Observe {
    /// The functions for `$schema`, without and with classic buckets, for cells that cache `$cached` chunk handles.
    macro_rules! of_schema {
        ($schema:literal caches $cached:literal) => {{
            const WORDS: usize = FIRST_CACHED + $cached;
            [observe::<$schema, $cached, WORDS, false>, observe::<$schema, $cached, WORDS, true>]
        }};
    }
    let functions: [Observe; 2] = match exponential.schema {
        ..=0 => of_schema!(0 caches 4),
        1 => of_schema!(1 caches 4),
        2 => of_schema!(2 caches 4),
        3 => of_schema!(3 caches 4),
        4 => of_schema!(4 caches 4),
        5 => of_schema!(5 caches 8),
        6 => of_schema!(6 caches 16),
        7 => of_schema!(7 caches 32),
        8.. => of_schema!(8 caches 64),
    };
    functions[usize::from(exponential.has_classic())]
}

/// Adds one observation. `WORDS` is the number of words before the classic buckets.
fn observe<const SCHEMA: i32, const CACHED: usize, const WORDS: usize, const CLASSIC: bool>(
    handle: Handle,
    buckets: &'static Buckets,
    value: f64,
) {
    // The uncommon path receives only this function's arguments, so the common path spills nothing to the stack.
    if let Some(place) = Place::of(value, SCHEMA)
        && let Some(cell) = cell::<WORDS>(handle)
        && let Some(header) = cell.first_chunk()
        && let cached = cell[place.key.cache_word(CACHED)].load(Relaxed)
        && let Some(chunk) = self::cell::<CHUNK_WORDS>(Handle::from_word(cached))
        && chunks::has_key(chunk, place.key)
        && let Some((word, counts)) = chunks::incremented(chunk, place.bucket)
    {
        record(header, value, || {
            // The classic buckets follow.
            if CLASSIC && let Some(bucket) = words_from(handle).get(WORDS + buckets.classic_of(value)) {
                add_one(bucket);
            }
            word.store(counts, Release);
        });
    } else {
        observe_uncached(handle, buckets, value);
    }
}

/// Records a value in a cell whose layout is known only at run time. `increment` adds 1 to an exponential bucket.
fn record_in(cell: &[AtomicU64], buckets: &Buckets, value: f64, increment: impl FnOnce()) {
    let Some(header) = cell.first_chunk() else { return };
    record(header, value, || {
        if buckets.classic() > 0 {
            add_one(&cell[buckets.first_classic() + buckets.classic_of(value)]);
        }
        increment();
    });
}

/// Adds an observation to the zero bucket, to a coarse chunk, or to one that the thread has not cached.
#[inline(never)]
fn observe_uncached(handle: Handle, buckets: &'static Buckets, value: f64) {
    let Some(exponential) = &buckets.exponential else { return };
    let Some(place) = Place::of(value, exponential.schema) else { return observe_zero(handle, buckets, value) };
    let coarse = place.coarse();
    let words = words_from(handle);
    if words.first().is_some_and(|generation| generation.load(Relaxed) == handle.word())
        && let Some(cached) = words.get(place.key.cache_word(cached_chunks(exponential.schema)))
        && let Some(chunk) = cell::<CHUNK_WORDS>(Handle::from_word(cached.load(Relaxed)))
        && chunks::has_key(chunk, coarse.key)
        && let Some((word, counts)) = chunks::incremented(chunk, coarse.bucket)
    {
        record_in(words, buckets, value, || word.store(counts, Release));
    } else {
        observe_cold(handle, buckets, exponential, &place, value);
    }
}

/// Adds an observation to the zero bucket.
fn observe_zero(handle: Handle, buckets: &Buckets, value: f64) {
    let zero = |cell: &[AtomicU64]| record_in(cell, buckets, value, || add_one(&cell[ZERO_WORD]));
    access::with_slice(handle, buckets.words(), zero);
}

/// Adds an observation to a chunk that the thread has not cached, or whose count wraps.
///
/// Observations that need a chunk when none can be allocated are counted close to 0, so that they are not lost. This
/// happens if no slot is free (2 GiB per thread are in use), or if an allocator observes the sizes that this function
/// allocates.
#[cold]
#[inline(never)]
fn observe_cold(handle: Handle, buckets: &'static Buckets, exponential: &Exponential, place: &Place, value: f64) {
    let written = unless_allocating(|| {
        let store = store();
        if !store.is_live(handle) {
            return Written::Done;
        }
        let Some(series) = directory().get(handle) else { return Written::Done };
        let Some((chunk, actual)) = series.chunk(store, place) else { return Written::NoSlot };
        // A coarse chunk is cached at the position of the fine one.
        let cached = place.key.cache_word(cached_chunks(exponential.schema));
        let write = Write { store, series: &series, chunk, place: actual, cached, value };
        match with_block(|pages, block| write.to_block(pages, block)) {
            Some(Written::NoBlock) | None => write.to_home(),
            Some(written) => written,
        }
    });
    if written.unwrap_or(Written::NoSlot) == Written::NoSlot {
        observe_zero(handle, buckets, value);
    }
}

/// The outcome of a write.
#[derive(Clone, Copy, PartialEq)]
enum Written {
    /// The observation was recorded, or the series has ended.
    Done,
    /// The thread cannot have a block.
    NoBlock,
    /// There is no chunk for the observation.
    NoSlot,
}

/// An observation to record in a chunk.
struct Write<'a> {
    store: &'static Store,
    series: &'a ChunkedSeries,
    chunk: Chunk,
    place: Place,
    /// The position of the word that caches the chunk's handle.
    cached: usize,
    value: f64,
}

impl Write<'_> {
    fn to_block(&self, pages: &Pages, block: &ThreadBlock) -> Written {
        let Self { store, series, chunk, place, .. } = self;
        let ready = |handle, words| {
            let cell = block.cell(store, pages, handle, words)?;
            Some(begin(cell, handle).then_some(cell))
        };
        let Some(cell) = ready(series.handle, series.buckets.words()) else { return Written::NoBlock };
        let Some(narrow) = ready(chunk.narrow, CHUNK_WORDS) else { return Written::NoBlock };
        let (Some(cell), Some(narrow)) = (cell, narrow.and_then(|narrow| narrow.first_chunk::<CHUNK_WORDS>())) else {
            return Written::Done;
        };
        chunks::set_key(narrow, place.key);
        cell[self.cached].store(chunk.narrow.word(), Relaxed);
        let mut wide = None;
        if chunks::is_full(narrow, place.bucket) {
            let Some(handle) = series.wide(store, place.key) else { return Written::NoSlot };
            match ready(handle, WIDE_WORDS) {
                Some(Some(ready)) => wide = Some(ready),
                Some(None) => return Written::Done,
                None => return Written::NoBlock,
            }
        }
        self.record(cell, narrow, wide);
        Written::Done
    }

    fn to_home(&self) -> Written {
        let Self { store, series, chunk, place, .. } = self;
        let mut wide = chunk.wide;
        loop {
            HomeWriter::prepare(store, chunk.narrow);
            if !wide.is_none() {
                HomeWriter::prepare(store, wide);
            }
            let home = store.lock_home();
            let Some(cell) = home.cell(series.handle, series.buckets.words()) else { return Written::Done };
            // While the series is live, so are its chunks.
            let narrow = home.cell_of_slot(chunk.narrow, CHUNK_WORDS).and_then(|narrow| narrow.first_chunk());
            let Some(narrow) = narrow else { return Written::Done };
            if chunks::is_full(narrow, place.bucket) && wide.is_none() {
                drop(home);
                match series.wide(store, place.key) {
                    Some(handle) => wide = handle,
                    None => return Written::NoSlot,
                }
                continue;
            }
            self.record(cell, narrow, home.cell_of_slot(wide, WIDE_WORDS));
            return Written::Done;
        }
    }

    fn record(&self, cell: &[AtomicU64], narrow: &[AtomicU64; CHUNK_WORDS], wide: Option<&[AtomicU64]>) {
        let bucket = self.place.bucket;
        record_in(cell, self.series.buckets, self.value, || match wide {
            // An allocator that observes values may have made the count wrap in the meantime.
            Some(wide) if chunks::is_full(narrow, bucket) => chunks::carry(narrow, wide, bucket),
            _ => {
                if let Some((word, counts)) = chunks::incremented(narrow, bucket) {
                    word.store(counts, Release);
                }
            }
        });
    }
}

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
            let is_classic_equal = |total: u64| buckets.classic() == 0 || self.own_classic.iter().sum::<u64>() == total;
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
        // Wrapping, because the words of a series that has just ended may be those of another one.
        Some((self.own.iter().flatten().fold(zero, |total, count| total.wrapping_add(*count)), zero))
    }
}

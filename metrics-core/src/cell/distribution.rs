//! Observations counted in exponential buckets, with a sum that is consistent with them. Classic buckets are derived
//! from the same counts; see [`super::lanes`].
//!
//! A cell starts with the same header as a histogram cell. A cache of the handles of the chunks that the thread has
//! used follows, then a word for each classic bucket that contains values close to 0. A writer stores the new sum, then
//! the bucket, then the count, and a reader checks that the total of the buckets matches the count, as in
//! [`super::histogram`]. If the count changes on 1,000 consecutive attempts, the reader uses the total of the buckets
//! as the count. The sum may then be off by a few observations.

use std::sync::atomic::Ordering::{Relaxed, Release};
use std::time::Instant;

use super::access;
use super::block::begin;
use super::buckets::{Buckets, ChunkKey, Exponential, FIRST_CACHED, Observe, Place, cached_chunks};
use super::chunks::{self, CHUNK_WORDS, Chunk, ChunkedSeries, SeriesState, WIDE_WORDS};
use super::exponential::{self, MAX_SCHEMA};
use super::handle::Handle;
use super::native::Resolution;
use super::store::Store;
use super::summary::{add_one, record};
use super::sync::AtomicU64;
use super::thread_block::{Pages, ThreadBlock, lock_for_all};
use super::thread_locals::{allocating, directory, store, unless_allocating, with_block};
use super::window::Window;

/// Allocates a series at 0; `None` if no slot or memory is available.
pub(crate) fn allocate(buckets: &'static Buckets, exponential: &Exponential) -> Option<Handle> {
    let window = exponential.quantiles.as_ref();
    let window = window.map(|quantiles| Box::new(Window::aligned(quantiles.max_age, Instant::now())));
    let resolution = exponential.native.as_ref().map(Resolution::new);
    let handle = access::allocate(buckets.words())?;
    if directory().insert(handle, buckets, SeriesState { window, resolution }) {
        return Some(handle);
    }
    access::free(handle, buckets.words());
    None
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

/// Returns the function that adds an observation to a series with these buckets and this number of classic bounds.
pub(super) fn observe_in(exponential: &Exponential, bounds: usize) -> Observe {
    /// The function for cells that cache `$cached` chunk handles, and for `$schema` if there are no classic buckets.
    macro_rules! observe {
        ($schema:literal, caches $cached:literal) => {
            observe::<$schema, $cached, { FIRST_CACHED + $cached }>
        };
    }
    if exponential.native.is_some() {
        return match cached_chunks(exponential.schema, bounds) {
            ..=4 => observe!(-1, caches 4),
            5..=8 => observe!(-1, caches 8),
            9..=16 => observe!(-1, caches 16),
            17..=32 => observe!(-1, caches 32),
            33.. => observe!(-1, caches 64),
        };
    }
    match exponential.schema {
        ..=0 => observe!(0, caches 4),
        1 => observe!(1, caches 4),
        2 => observe!(2, caches 4),
        3 => observe!(3, caches 4),
        4 => observe!(4, caches 4),
        5 => observe!(5, caches 8),
        6 => observe!(6, caches 16),
        7 => observe!(7, caches 32),
        8.. => observe!(8, caches 64),
    }
}

/// Adds one observation. `SCHEMA` is negative if there are classic buckets, and `WORDS` is the number of words before
/// those that count values close to 0.
fn observe<const SCHEMA: i32, const CACHED: usize, const WORDS: usize>(
    pages: &Pages,
    handle: Handle,
    buckets: &'static Buckets,
    value: f64,
) {
    // The uncommon path receives the same arguments in the same order, so the common path does not have to save or move
    // them.
    let lane = || {
        if SCHEMA < 0 {
            buckets.lane_in_table(value)
        } else {
            Some(exponential::linear_position(value)? >> (MAX_SCHEMA - SCHEMA))
        }
    };
    if let Some(cell) = pages.cell::<WORDS>(handle)
        && let Some((key, bucket)) = lane().map(ChunkKey::of_lane)
        && let Some(header) = cell.first_chunk()
        && let Some(chunk) = chunks::cached(pages, &cell[key.cache_word(CACHED)], key)
        && let Some((word, counts)) = chunks::incremented(chunk, bucket)
    {
        record(header, value, || word.store(counts, Release));
    } else {
        observe_uncached(pages, handle, buckets, value);
    }
}

/// Records a value in a cell whose layout is known only at run time. `increment` adds 1 to a bucket.
fn record_in(cell: &[AtomicU64], value: f64, increment: impl FnOnce()) {
    if let Some(header) = cell.first_chunk() {
        record(header, value, increment);
    }
}

/// Adds a negative observation, or one to the zero bucket, to a coarse chunk, or to a chunk that the thread has not
/// cached.
#[inline(never)]
fn observe_uncached(pages: &Pages, handle: Handle, buckets: &'static Buckets, value: f64) {
    let Some(place) = buckets.place(value) else { return observe_zero(handle, buckets, value) };
    let words = pages.from(handle);
    // A coarse chunk is cached in the same word as the fine one.
    let cached_in = |word: &AtomicU64| {
        let chunk = |place: Place| Some((chunks::cached(pages, word, place.key)?, place.bucket));
        chunk(place).or_else(|| chunk(place.coarse()))
    };
    if words.first().is_some_and(|generation| generation.load(Relaxed) == handle.word())
        && let Some((chunk, bucket)) = words.get(buckets.cache_word(place.key)).and_then(cached_in)
        && let Some((word, counts)) = chunks::incremented(chunk, bucket)
    {
        record_in(words, value, || word.store(counts, Release));
    } else {
        observe_cold(handle, buckets, &place, value);
    }
}

/// Adds an observation to the zero bucket.
fn observe_zero(handle: Handle, buckets: &Buckets, value: f64) {
    let word = buckets.zero_word(value);
    let zero = |cell: &[AtomicU64]| record_in(cell, value, || add_one(&cell[word]));
    access::with_slice(handle, buckets.words(), zero);
}

/// Adds an observation to a chunk that the thread has not cached, or whose count wraps.
///
/// Observations that need a chunk when none can be allocated are counted close to 0, so that they are not lost. This
/// happens if all slots (2 GiB per thread) or all memory is in use, or if an allocator observes the sizes that
/// this function allocates.
#[cold]
#[inline(never)]
fn observe_cold(handle: Handle, buckets: &'static Buckets, place: &Place, value: f64) {
    let written = unless_allocating(|| {
        let store = store();
        if !store.is_live(handle) {
            return Written::Done;
        }
        let Some(series) = directory().get(handle) else { return Written::Done };
        let Some((chunk, actual)) = series.chunk(store, place) else { return Written::NoSlot };
        // A coarse chunk is cached at the position of the fine one.
        let cached = buckets.cache_word(place.key);
        let write = Write { store, series: &series, chunk, place: actual, cached, value };
        let to_any = |pages: &Pages, block: &ThreadBlock| match write.to_block(pages, block) {
            Written::NoBlock => write.to_shared(Some(block)),
            written => written,
        };
        with_block(to_any).unwrap_or_else(|| write.to_shared(None))
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
    /// The thread has no dedicated block.
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
        chunks::set_tag(narrow, chunk.narrow, place.key);
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

    fn to_shared(&self, block: Option<&ThreadBlock>) -> Written {
        let Self { store, series, chunk, place, .. } = self;
        let mut wide = chunk.wide;
        loop {
            let shared = lock_for_all(store, block, &[series.handle, chunk.narrow, wide]);
            let Some(cell) = shared.cell(series.handle, series.buckets.words()) else { return Written::Done };
            // While the series is live, so are its chunks.
            let narrow = shared.cell_of_slot(chunk.narrow, CHUNK_WORDS).and_then(|narrow| narrow.first_chunk());
            let Some(narrow) = narrow else { return Written::Done };
            if chunks::is_full(narrow, place.bucket) && wide.is_none() {
                drop(shared);
                match series.wide(store, place.key) {
                    Some(handle) => wide = handle,
                    None => return Written::NoSlot,
                }
                continue;
            }
            self.record(cell, narrow, shared.cell_of_slot(wide, WIDE_WORDS));
            return Written::Done;
        }
    }

    fn record(&self, cell: &[AtomicU64], narrow: &[AtomicU64; CHUNK_WORDS], wide: Option<&[AtomicU64]>) {
        let bucket = self.place.bucket;
        record_in(cell, self.value, || match wide {
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

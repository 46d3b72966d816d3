//! Chunks of exponential buckets, which are allocated when a value first falls into them.
//!
//! A chunk is a slot, like a series: it has the same position in every thread's pages, so one handle serves all
//! threads, and removal and reuse follow the same protocol. The list of a series' chunks only grows. It is freed with
//! the series, once the series' generation has ended.
//!
//! A bucket has 16 bits: a 15-bit count, and one bit for the parity of the number of wraps (the number of times that
//! the count has wrapped). The number of wraps is stored with 32 bits in a wide chunk, which is allocated when a count
//! first wraps. A writer stores the new number of wraps first, then the count and the parity. If the parities differ, a
//! reader has seen only the first of these stores.
//!
//! The allocator may be user code that observes values itself, so nothing is allocated while a lock is held.

use std::array;
use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::buckets::{Buckets, ChunkKey, Exponential, Place};
use super::handle::{Handle, SHARDS};
use super::native::Resolution;
use super::store::Store;
use super::sync::{AtomicU64, CHUNK_BUCKETS, COUNT_BITS, Mutex, lock};
use super::thread_block::Pages;
use super::window::Window;

/// The number of buckets in a word.
const PER_WORD: usize = 4;
const FIELD_BITS: usize = 16;
const FIELD: u64 = (1 << FIELD_BITS) - 1;
/// The first word with counts, after the generation and the tag.
const FIRST: usize = 2;
/// The number of words with counts.
const COUNT_WORDS: usize = CHUNK_BUCKETS / PER_WORD;
/// The number of words in a chunk.
pub(super) const CHUNK_WORDS: usize = FIRST + COUNT_WORDS;
/// The number of buckets in a word of a wide chunk.
const WIDE_PER_WORD: usize = 2;
const WIDE_FIELD_BITS: usize = 32;
const WIDE_FIELD: u64 = (1 << WIDE_FIELD_BITS) - 1;
/// The number of words in a wide chunk, including the generation.
pub(super) const WIDE_WORDS: usize = 1 + CHUNK_BUCKETS / WIDE_PER_WORD;
/// The largest count of a bucket in one thread, about 10^14. A thread that observes a million values per second in one
/// bucket reaches it after four years. The count of the bucket then starts again at 0, so Prometheus shows a single
/// spike.
pub(super) const LARGEST: u64 = (1 << COUNT_BITS << WIDE_FIELD_BITS) - 1;
const FULL: u64 = (1 << COUNT_BITS) - 1;
const PARITY: u64 = 1 << COUNT_BITS;

/// One chunk of a series.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Chunk {
    pub(super) key: ChunkKey,
    pub(super) narrow: Handle,
    /// The wide chunk; [`Handle::NONE`] until a count has wrapped.
    pub(super) wide: Handle,
}

/// The chunks of a series, and the state that readers keep for it.
pub(crate) struct ChunkedSeries {
    pub(super) handle: Handle,
    pub(super) buckets: &'static Buckets,
    list: Mutex<List>,
    pub(super) state: Mutex<SeriesState>,
}

/// The state that readers keep for a series.
pub(super) struct SeriesState {
    /// The window of the quantiles, if there are any. Boxed, because native histograms have none.
    pub(super) window: Option<Box<Window>>,
    /// The resolution of the native buckets, if there are any.
    pub(super) resolution: Option<Resolution>,
}

#[derive(Default)]
struct List {
    chunks: Vec<Chunk>,
}

/// The series with exponential buckets.
pub(super) struct Directory {
    shards: [Mutex<Shard>; SHARDS],
}

type Shard = Option<HashMap<Handle, Arc<ChunkedSeries>>>;

impl Directory {
    pub(super) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::new(None)) }
    }

    #[cfg(test)]
    pub(super) fn hold_locks(&'static self) -> impl Sized {
        self.shards.iter().map(lock).collect::<Vec<_>>()
    }

    fn shard(&self, handle: Handle) -> &Mutex<Shard> {
        &self.shards[handle.shard()]
    }

    pub(super) fn get(&self, handle: Handle) -> Option<Arc<ChunkedSeries>> {
        lock(self.shard(handle)).as_ref()?.get(&handle).map(Arc::clone)
    }

    /// Adds a series. Returns false if memory is exhausted.
    pub(super) fn insert(&self, handle: Handle, buckets: &'static Buckets, state: SeriesState) -> bool {
        let list = Mutex::new(List::default());
        let series = Arc::new(ChunkedSeries { handle, buckets, list, state: Mutex::new(state) });
        let mut larger = HashMap::new();
        loop {
            let mut shard = lock(self.shard(handle));
            let (len, capacity) = shard.as_ref().map_or((0, 0), |map| (map.len(), map.capacity()));
            if len == capacity {
                if larger.capacity() <= len {
                    drop(shard);
                    larger = HashMap::new();
                    if larger.try_reserve(2 * len + 8).is_err() {
                        return false;
                    }
                    continue;
                }
                larger.extend(shard.as_mut().into_iter().flat_map(HashMap::drain));
                larger = shard.replace(larger).unwrap_or_default();
            }
            shard.get_or_insert_default().insert(handle, series);
            // The old map is freed after the lock is released.
            drop(shard);
            drop(larger);
            return true;
        }
    }

    /// Ends a series, whose generation must have ended, and returns its slots.
    pub(super) fn remove(&self, handle: Handle) -> impl Iterator<Item = (Handle, usize)> + use<> {
        let removed = lock(self.shard(handle)).as_mut().and_then(|map| map.remove(&handle));
        let list = removed.map(|series| mem::take(&mut *lock(&series.list))).unwrap_or_default();
        let of_chunk = |chunk: Chunk| [(chunk.narrow, CHUNK_WORDS), (chunk.wide, WIDE_WORDS)];
        list.chunks.into_iter().flat_map(of_chunk).filter(|(handle, _)| !handle.is_none())
    }

    /// The series of one of the [`SHARDS`] shards.
    pub(super) fn series(&self, shard: usize) -> Vec<Arc<ChunkedSeries>> {
        let mut series = Vec::new();
        loop {
            let shard = lock(&self.shards[shard]);
            let Some(map) = shard.as_ref() else { return series };
            if map.len() <= series.capacity() {
                series.extend(map.values().cloned());
                return series;
            }
            let len = map.len();
            drop(shard);
            series = Vec::with_capacity(len + len / 8);
        }
    }
}

impl ChunkedSeries {
    pub(super) fn exponential(&self) -> Option<&'static Exponential> {
        self.buckets.exponential.as_ref()
    }

    /// Copies the list of chunks into `chunks`.
    pub(super) fn list(&self, chunks: &mut Vec<Chunk>) {
        loop {
            chunks.clear();
            let list = lock(&self.list);
            if list.chunks.len() <= chunks.capacity() {
                chunks.extend_from_slice(&list.chunks);
                return;
            }
            let len = list.chunks.len();
            drop(list);
            chunks.reserve(len);
        }
    }

    /// Returns the chunk for `place`, or for its coarse equivalent if the series has no room for another fine chunk.
    ///
    /// Returns `None` if the series has ended, or if no slot or memory is available.
    pub(super) fn chunk(&self, store: &Store, place: &Place) -> Option<(Chunk, Place)> {
        let most = self.buckets.fine_chunks();
        let mut larger = Vec::new();
        let mut new = None;
        let found = loop {
            let mut list = lock(&self.list);
            let find = |key: ChunkKey| list.chunks.iter().find(|chunk| chunk.key == key).copied();
            if let Some(chunk) = find(place.key) {
                break Some((chunk, *place));
            }
            let is_full = list.chunks.iter().filter(|chunk| !chunk.key.is_coarse()).count() >= most;
            let place = if is_full { place.coarse() } else { *place };
            if let Some(chunk) = find(place.key) {
                break Some((chunk, place));
            }
            if !store.is_live(self.handle) {
                break None;
            }
            if list.chunks.len() == list.chunks.capacity() {
                if larger.capacity() <= list.chunks.len() {
                    let len = list.chunks.len();
                    drop(list);
                    larger = Vec::new();
                    if larger.try_reserve(len + len / 2 + 3).is_err() {
                        break None;
                    }
                    continue;
                }
                larger.append(&mut list.chunks);
                mem::swap(&mut larger, &mut list.chunks);
            }
            let Some(narrow) = new.take() else {
                drop(list);
                new = Some(store.take_slot(CHUNK_WORDS)?);
                continue;
            };
            let chunk = Chunk { key: place.key, narrow, wide: Handle::NONE };
            list.chunks.push(chunk);
            break Some((chunk, place));
        };
        if let Some(new) = new {
            store.give_back_slot(new, CHUNK_WORDS);
        }
        found
    }

    /// Returns the wide chunk for this key. Returns `None` if the series has ended, or if no slot or memory is
    /// available.
    pub(super) fn wide(&self, store: &Store, key: ChunkKey) -> Option<Handle> {
        let find = |list: &mut List, new: Option<Handle>| {
            let chunk = list.chunks.iter_mut().find(|chunk| chunk.key == key)?;
            if let Some(new) = new.filter(|_| chunk.wide.is_none()) {
                chunk.wide = new;
            }
            Some(chunk.wide)
        };
        let known = find(&mut lock(&self.list), None)?;
        if !known.is_none() {
            return Some(known);
        }
        let new = store.take_slot(WIDE_WORDS)?;
        let wide = find(&mut lock(&self.list), Some(new));
        if wide != Some(new) {
            store.give_back_slot(new, WIDE_WORDS);
        }
        wide
    }
}

/// The word and the shift of a bucket in a chunk. Neighboring buckets are in different words.
#[inline]
#[allow(clippy::modulo_one, reason = "the models have a single word")]
fn field(bucket: usize) -> (usize, usize) {
    (FIRST + bucket % COUNT_WORDS, bucket / COUNT_WORDS * FIELD_BITS)
}

/// The second word of a chunk's cell, which identifies the chunk. For one slot, tags differ if the generations or the
/// keys do. A write through a cached handle compares only this word, while readers and the cold path compare the first.
///
/// Other cells of the same length have a count in this word. Unless a slot has been reused two billion times, a tag is
/// larger than 2^63, and no count becomes that large.
#[inline]
fn tag(handle: Handle, key: ChunkKey) -> u64 {
    key.word().wrapping_sub(handle.word())
}

/// Stores the tag in the chunk's cell.
pub(super) fn set_tag(chunk: &[AtomicU64], handle: Handle, key: ChunkKey) {
    chunk[1].store(tag(handle, key), Relaxed);
}

/// The chunk with this key, if `word` caches its handle.
#[inline]
pub(super) fn cached(pages: &Pages, word: &AtomicU64, key: ChunkKey) -> Option<&'static [AtomicU64; CHUNK_WORDS]> {
    let handle = Handle::from_word(word.load(Relaxed));
    pages.slot::<CHUNK_WORDS>(handle).filter(|chunk| chunk[1].load(Relaxed) == tag(handle, key))
}

/// The word of a bucket, and its value after an observation; `None` if the observation makes the count wrap.
#[inline]
pub(super) fn incremented(chunk: &[AtomicU64; CHUNK_WORDS], bucket: usize) -> Option<(&AtomicU64, u64)> {
    let (word, shift) = field(bucket);
    let counts = chunk[word].load(Relaxed);
    let next = counts.wrapping_add(1 << shift);
    ((counts ^ next) & PARITY << shift == 0).then_some((&chunk[word], next))
}

/// Returns true if the next observation in this bucket makes its count wrap.
#[inline]
pub(super) fn is_full(chunk: &[AtomicU64; CHUNK_WORDS], bucket: usize) -> bool {
    let (word, shift) = field(bucket);
    (chunk[word].load(Relaxed) >> shift) & FULL == FULL
}

/// The word and the shift of a bucket in a wide chunk.
fn wide_field(bucket: usize) -> (usize, usize) {
    (1 + bucket / WIDE_PER_WORD, bucket % WIDE_PER_WORD * WIDE_FIELD_BITS)
}

/// Adds 1 to a bucket whose count wraps.
pub(super) fn carry(chunk: &[AtomicU64; CHUNK_WORDS], wide: &[AtomicU64], bucket: usize) {
    let (word, shift) = wide_field(bucket);
    let wraps = wide[word].load(Relaxed);
    let next = ((wraps >> shift) + 1) & WIDE_FIELD;
    wide[word].store(wraps & !(WIDE_FIELD << shift) | next << shift, Release);
    let (word, shift) = field(bucket);
    let counts = chunk[word].load(Relaxed);
    let field = (counts >> shift) & FIELD;
    let flipped = (field ^ PARITY) & !FULL;
    chunk[word].store(counts & !(FIELD << shift) | flipped << shift, Release);
}

/// Replaces `counts` with the counts of a chunk's cell. Returns `None` if a count changed in a way that could be
/// misread.
pub(super) fn read(
    chunk: &[AtomicU64; CHUNK_WORDS],
    wide: Option<&[AtomicU64]>,
    counts: &mut [u64; CHUNK_BUCKETS],
) -> Option<()> {
    let Some(wide) = wide else {
        let mut narrow = [0; COUNT_WORDS];
        narrow.iter_mut().zip(&chunk[FIRST..]).for_each(|(narrow, word)| *narrow = word.load(Acquire));
        for (at, counts) in counts.chunks_exact_mut(COUNT_WORDS).enumerate() {
            for (count, word) in counts.iter_mut().zip(narrow) {
                *count = (word >> (at * FIELD_BITS)) & FIELD;
            }
        }
        // A count with the parity bit has wrapped, so it has a wide chunk by now.
        return counts.iter().all(|count| count & PARITY == 0).then_some(());
    };
    let wraps = |bucket| {
        let (word, shift) = wide_field(bucket);
        (wide[word].load(Acquire) >> shift) & WIDE_FIELD
    };
    for (at, word) in chunk[FIRST..].iter().enumerate() {
        let of_word = array::from_fn::<_, PER_WORD, _>(|field| at + field * COUNT_WORDS);
        let before = of_word.map(wraps);
        let word = word.load(Acquire);
        for (field, (bucket, before)) in of_word.into_iter().zip(before).enumerate() {
            let wrapped = wraps(bucket);
            if wrapped != before {
                return None;
            }
            let field = (word >> (field * FIELD_BITS)) & FIELD;
            // If the parities differ, the writer has stored the number of wraps, but not yet the count.
            let pending = (wrapped ^ (field >> COUNT_BITS)) & 1;
            // If the series has ended, its wide chunk may already belong to another series.
            counts[bucket] = wrapped.checked_sub(pending)? << COUNT_BITS | field & FULL;
        }
    }
    Some(())
}

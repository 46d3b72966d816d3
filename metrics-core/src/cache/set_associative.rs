//! A thread's first-level cache: 32 or 256 sets of two entries, shared by all families and annotated functions.
//!
//! An entry is 16 words: its tag and epoch, the shape of its key, the key, and the handles. The key consists of
//! numbers (the identities of families that a call evaluates), the last word of each label value, and all complete
//! 8-byte chunks of values longer than 8 bytes. It is compared word by word, so a match never depends on a hash.
//! The tag is the index of the owner, combined by XOR with a hash of the shape and the key. Entries with equal shapes,
//! keys and tags therefore have the same owner. The low bits of the tag select the set. The processor cannot
//! predict which of a set's two entries matches, so the entry is selected without a branch. A misprediction would
//! cost up to half as much as the whole lookup.
//!
//! After a removal, a key has the same tag as before, so it replaces its own entry. The entries of keys that are no
//! longer used stay until it is their turn to be replaced.
//!
//! When a thread ends, another thread may take over its cache. The contents remain valid, since handles are the same
//! for all threads.

use std::hint;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

use super::CacheId;
use crate::cell::sync::AtomicU64;
use crate::cell::{CACHE_ENTRY_WORDS as ENTRY_WORDS, CacheSet, Handle};

/// The number of sets in a new thread's cache.
pub(super) const FEW_SETS: usize = 32;
/// The number of sets in the cache of a thread that needs more.
pub(super) const MANY_SETS: usize = 256;

const TAG: usize = 0;
const EPOCH: usize = 1;
const SHAPE: usize = 2;
const KEY: Range<usize> = 5..14;
/// The words of the handles. The two that every call needs are near the tag, usually in the same cache line.
const HANDLES: [usize; MAX_HANDLES] = [3, 4, 14, 15];
pub(super) const MAX_HANDLES: usize = 4;
/// The maximum number of values: a shape holds eight lengths.
pub(super) const MAX_VALUES: usize = 8;
/// Values of at least this length, in bytes, are not cached here.
const TOO_LONG: usize = 1 << LENGTH_BITS;
/// The number of bits of a length in a shape. Values of more than 71 bytes do not fit into a key, so seven bits are
/// enough.
const LENGTH_BITS: u32 = 7;
/// Values of at least this length, in bytes, are not found by [`find_one`].
pub(crate) const TOO_LONG_FOR_ONE: usize = 32;

pub(super) type CacheEntry = [AtomicU64; ENTRY_WORDS];

/// Returns the entry with the handles for these numbers and values.
///
/// Every lookup with the same id must pass its numbers at the same positions, and must expect at most as many handles
/// as were inserted. Entries record neither.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "so that the loops over the values are unrolled in callers that know their number"
)]
pub(super) fn find<'w, V: AsRef<[u8]>, const P: usize>(
    sets: &'w [CacheSet],
    id: &CacheId,
    epoch: u64,
    numbers: &[Option<u64>; P],
    values: &[V],
) -> Option<&'w CacheEntry> {
    let mut last = [0; MAX_VALUES];
    let (shape, mixed) = ends(numbers, values, &mut last)?;
    let tag = tag(id, mixed);
    let [first, second] = set_of(sets, tag)?;
    let is_second = first[TAG].load(Relaxed) != tag;
    let entry = hint::select_unpredictable(is_second, second, first);
    if is_of(entry, tag, epoch, shape) && has(entry, numbers, values, &last) {
        Some(entry)
    } else {
        find_in_second(sets, id, epoch, numbers, values)
    }
}

/// Like [`find`], but searches only the second entry of the set. Called on each miss. Very rarely, it finds the values,
/// because the first entry has the same tag but a different key.
///
/// A separate function, because the compiler would otherwise branch on the entry that [`find`] has selected.
#[cold]
#[inline(never)]
fn find_in_second<'w, V: AsRef<[u8]>, const P: usize>(
    sets: &'w [CacheSet],
    id: &CacheId,
    epoch: u64,
    numbers: &[Option<u64>; P],
    values: &[V],
) -> Option<&'w CacheEntry> {
    let mut last = [0; MAX_VALUES];
    let (shape, mixed) = ends(numbers, values, &mut last)?;
    let tag = tag(id, mixed);
    let [_, second] = set_of(sets, tag)?;
    let is_same = is_of(second, tag, epoch, shape) && has(second, numbers, values, &last);
    is_same.then_some(second)
}

/// Like [`find`], for a single value of fewer than [`TOO_LONG_FOR_ONE`] bytes, which needs no loops. Does not find a
/// value in the second entry of a set if the first has the same tag, nor a longer value. On a miss, callers continue
/// with [`find`].
///
/// Uses no iterators, which are slow in a debug build.
#[inline(always)]
#[expect(clippy::inline_always, reason = "so that callers save no registers: the rest of a lookup is a tail call")]
pub(super) fn find_one<'w>(sets: &'w [CacheSet], id: &CacheId, epoch: u64, value: &[u8]) -> Option<&'w CacheEntry> {
    if value.len() >= TOO_LONG_FOR_ONE {
        return None;
    }
    let (last, start) = ends_of(value);
    let shape = with_length(NO_VALUES, value);
    let tag = tag(id, mix(last, start, 0) ^ shape);
    let [first, second] = set_of(sets, tag)?;
    let is_second = first[TAG].load(Relaxed) != tag;
    let entry = hint::select_unpredictable(is_second, second, first);
    if is_of(entry, tag, epoch, shape) && has_one(entry, value, start, last) { Some(entry) } else { None }
}

/// Returns the first `N` handles of an entry; `N` is at most [`MAX_HANDLES`]. Uses an index, because iterators are slow
/// in a debug build.
#[inline(always)]
#[expect(clippy::inline_always, reason = "so that the handles stay in registers")]
pub(super) fn handles<const N: usize>(entry: &CacheEntry) -> [Handle; N] {
    let mut handles = [Handle::NONE; N];
    let mut at = 0;
    while at < N {
        // Load each handle separately: a wide load of words that were just stored one by one stalls on store
        // forwarding. The remainder eliminates the bounds check.
        handles[at] = Handle::from_word(entry[HANDLES[at % MAX_HANDLES]].load(Relaxed));
        at += 1;
    }
    handles
}

/// Caches handles. If both entries of the set are in use, `turn` determines which entry is replaced, if any.
pub(super) fn insert<V: AsRef<[u8]>, const P: usize>(
    sets: &[CacheSet],
    id: &CacheId,
    epoch: u64,
    numbers: &[Option<u64>; P],
    values: &[V],
    handles: &[Handle],
    turn: usize,
) {
    let mut last = [0; MAX_VALUES];
    let Some((shape, mixed)) = ends(numbers, values, &mut last) else { return };
    let tag = tag(id, mixed);
    let Some(set) = set_of(sets, tag) else { return };
    let numbers = numbers.iter().flatten().copied();
    let chunks = values.iter().flat_map(|value| chunks_of(value.as_ref()));
    let key = numbers.chain(last.into_iter().take(values.len())).chain(chunks);
    if key.clone().count() > KEY.len() || handles.len() > MAX_HANDLES {
        return;
    }
    let free = set.iter().position(|entry| is_free(entry, tag, epoch));
    // If the cache is too small for the label sets in use, replacing an entry on every miss would not pay off.
    let at = match free {
        Some(at) => at,
        None if turn.is_multiple_of(4) => (turn / 4) & 1,
        None => return,
    };
    let entry = &set[at];
    entry[TAG].store(tag, Relaxed);
    entry[EPOCH].store(epoch, Relaxed);
    entry[SHAPE].store(shape, Relaxed);
    for (word, part) in entry[KEY].iter().zip(key) {
        word.store(part, Relaxed);
    }
    for (at, handle) in HANDLES.into_iter().zip(handles) {
        entry[at].store(handle.word(), Relaxed);
    }
}

/// Stores the last word of each value in `last`. Returns the shape of the key, and a mixture of the shape, the numbers,
/// and the first and last bytes of the values; `None` if a value is too long, or if there are too many.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as for `find`")]
fn ends<V: AsRef<[u8]>, const P: usize>(
    numbers: &[Option<u64>; P],
    values: &[V],
    last: &mut [u64; MAX_VALUES],
) -> Option<(u64, u64)> {
    if values.len() > MAX_VALUES {
        return None;
    }
    let (mut shape, mut mixed, mut all_lengths) = (NO_VALUES, 0_u64, 0);
    let mut nth = 0;
    while nth < P {
        if let Some(number) = numbers[nth] {
            shape += 1;
            mixed = mix(number, 0, mixed);
        }
        nth += 1;
    }
    for (value, last) in values.iter().zip(last) {
        let bytes = value.as_ref();
        let first;
        (*last, first) = ends_of(bytes);
        shape = with_length(shape, bytes);
        mixed = mix(*last, first, mixed);
        all_lengths |= bytes.len();
    }
    if all_lengths < TOO_LONG { Some((shape, mixed ^ shape)) } else { None }
}

/// The shape of an empty key. The high bits of a shape hold the number of numbers plus 1. The lengths of the values
/// follow, in order, [`LENGTH_BITS`] each. Keys with equal shapes have the same number of numbers, and values of the
/// same lengths.
const NO_VALUES: u64 = 1;

/// Adds a value to a shape. The value must be shorter than [`TOO_LONG`].
#[inline]
fn with_length(shape: u64, value: &[u8]) -> u64 {
    shape << LENGTH_BITS | value.len() as u64
}

/// Returns the last word of a value, and the first word, or 0 if the value has fewer than 8 bytes.
#[inline]
fn ends_of(bytes: &[u8]) -> (u64, u64) {
    (last_word(bytes), bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first)))
}

#[inline]
fn mix(last: u64, first: u64, mixed: u64) -> u64 {
    mixed.rotate_left(23) ^ last ^ first.rotate_left(29)
}

/// Combines an owner with a mixture of its key. Spreads differences in a few bits of the mixture over all bits.
#[inline]
fn tag(id: &CacheId, mixed: u64) -> u64 {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    mixed.wrapping_mul(SPREAD).rotate_left(8) ^ id.index as u64
}

/// The words that, together with its length and its last word, identify a value: all complete 8-byte chunks if it is
/// longer than 8 bytes.
fn chunks_of(value: &[u8]) -> impl Iterator<Item = u64> + Clone {
    let chunks = if value.len() > 8 { value.as_chunks::<8>().0 } else { &[] };
    chunks.iter().map(|chunk| u64::from_le_bytes(*chunk))
}

/// Returns the entries that a key with this tag can occupy; `None` if the thread has no cache.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low bits select the set")]
fn set_of(sets: &[CacheSet], tag: u64) -> Option<&CacheSet> {
    sets.get(tag as usize & sets.len().wrapping_sub(1))
}

/// Returns true if the entry has this tag, epoch and shape. Unused entries have epoch 0, which no owner has.
#[inline]
fn is_of(entry: &CacheEntry, tag: u64, epoch: u64, shape: u64) -> bool {
    let (of, at, with) = (entry[TAG].load(Relaxed), entry[EPOCH].load(Relaxed), entry[SHAPE].load(Relaxed));
    (of ^ tag) | (at ^ epoch) | (with ^ shape) == 0
}

/// Returns true if the entry is unused, or has the same tag in another epoch: usually, the same key in an earlier one.
fn is_free(entry: &CacheEntry, tag: u64, epoch: u64) -> bool {
    let (of, at) = (entry[TAG].load(Relaxed), entry[EPOCH].load(Relaxed));
    of == 0 || of == tag && at != epoch
}

/// Returns true if the entry has these numbers and values. The caller has checked that the shapes are equal.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as for `find`")]
fn has<V: AsRef<[u8]>, const P: usize>(
    entry: &CacheEntry,
    numbers: &[Option<u64>; P],
    values: &[V],
    last: &[u64; MAX_VALUES],
) -> bool {
    // The remainder eliminates the bounds check.
    let differs = |at: usize, word: u64| entry[at % ENTRY_WORDS].load(Relaxed) ^ word;
    let (mut at, mut different) = (KEY.start, 0);
    let mut nth = 0;
    while nth < P {
        if let Some(number) = numbers[nth] {
            different |= differs(at, number);
            at += 1;
        }
        nth += 1;
    }
    for (_, last) in values.iter().zip(last) {
        different |= differs(at, *last);
        at += 1;
    }
    for value in values {
        let value = value.as_ref();
        if value.len() > 8 {
            // Most values have at most 23 bytes, so only longer ones need a loop.
            different |= differs(at, word_at(value, 0));
            at += 1;
            if value.len() >= 16 {
                different |= differs(at, word_at(value, 8));
                at += 1;
            }
            if value.len() >= 24 {
                different |= differences_from_third(entry, at, value);
                at += value.len() / 8 - 2;
            }
        }
    }
    different == 0
}

/// Returns 0 if the words from `at` on are the complete chunks of this value, except the first two.
#[inline(never)]
fn differences_from_third(entry: &CacheEntry, at: usize, value: &[u8]) -> u64 {
    let chunks = value.as_chunks::<8>().0.iter().skip(2).enumerate();
    // The remainder eliminates the bounds check.
    chunks.fold(0, |different, (nth, chunk)| {
        different | entry[(at + nth) % ENTRY_WORDS].load(Relaxed) ^ u64::from_le_bytes(*chunk)
    })
}

/// Like [`has`], for a single value with these first and last words, shorter than [`TOO_LONG_FOR_ONE`].
#[inline(always)]
#[expect(clippy::inline_always, reason = "as for `find_one`")]
fn has_one(entry: &CacheEntry, value: &[u8], first: u64, last: u64) -> bool {
    let has = |at: usize, word: u64| entry[KEY.start + at].load(Relaxed) == word;
    if value.len() <= 8 {
        return has(0, last);
    }
    has(0, last)
        && has(1, first)
        && (value.len() < 16 || has(2, word_at(value, 8)) && (value.len() < 24 || has(3, word_at(value, 16))))
}

/// The word that starts at this position; 0 if fewer than 8 bytes remain.
#[inline]
fn word_at(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..) {
        Some(rest) => match rest.first_chunk() {
            Some(chunk) => u64::from_le_bytes(*chunk),
            None => 0,
        },
        None => 0,
    }
}

/// The last 8 bytes, or all bytes if there are fewer.
#[inline]
fn last_word(bytes: &[u8]) -> u64 {
    if let Some(chunk) = bytes.last_chunk::<8>() {
        return u64::from_le_bytes(*chunk);
    }
    // Do not branch on the length: short values, such as HTTP methods, occur in random order, which defeats prediction.
    match bytes.len().checked_sub(2) {
        Some(end) => {
            let first = pair_at(bytes, 0) << 48 | pair_at(bytes, end.min(2)) << 32;
            first | pair_at(bytes, end.min(4)) << 16 | pair_at(bytes, end)
        }
        None => bytes.first().map_or(0, |only| u64::from(*only)),
    }
}

/// The two bytes at this position, which must be in range.
#[inline]
fn pair_at(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..) {
        Some([one, other, ..]) => u64::from(u16::from_le_bytes([*one, *other])),
        _ => 0,
    }
}

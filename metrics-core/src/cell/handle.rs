//! Handles, and the allocator for the slots they refer to.
//!
//! Each slot length has a free list, and a freed slot is reused for the next series of the same length. The generations
//! of a slot only increase: a thread that is preempted between its liveness check and its write sees a newer generation
//! in the cell and drops the write. A slot is retired once its generations are exhausted.

use std::collections::HashMap;
use std::ops::Range;

use super::sync::{FIRST_PAGE_WORDS, PAGES};

/// The number of low bits of a slot that hold the offset in the page. The higher bits hold the page.
const OFFSET_BITS: u32 = 27;
/// The last page with slots. Offsets in larger pages do not fit in [`OFFSET_BITS`], and the very last page is reserved
/// for [`Handle::NONE`].
const LAST_PAGE: usize = {
    let largest = (OFFSET_BITS - FIRST_PAGE_WORDS.trailing_zeros()) as usize;
    if largest < PAGES - 1 { largest } else { PAGES - 2 }
};

/// The number of words at the beginning of the first page that are not part of any slot. They stay 0, so an empty word
/// of a cache, read as a handle, never matches the tag of a chunk.
const UNUSED_WORDS: usize = 2;

/// The smallest number of words that a slot can have.
pub(super) const SHORTEST_SLOT: usize = 3;

/// The number of words in page `page`.
pub(crate) fn page_words(page: usize) -> usize {
    FIRST_PAGE_WORDS << page
}

/// The number of parts of a table that is keyed by handle, each with its own lock.
pub(crate) const SHARDS: usize = 16;

/// A series: a slot (page and offset, the same in every thread) and the generation of the slot's owner.
///
/// A handle is a number, so copying, sending or dropping one touches no shared memory. When a series is removed, its
/// slot may be reused, with the next generation, for another series. Writes through the old handle then have no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(u64);

impl Handle {
    /// A handle that refers to no series. Its page is never allocated, so writes through it have no effect.
    pub(crate) const NONE: Self = Self(((PAGES - 1) as u64) << OFFSET_BITS);

    pub(super) fn new(slot: u32, generation: u32) -> Self {
        Self(u64::from(generation) << 32 | u64::from(slot))
    }

    /// The handle as stored in the first word of its cells. For the same slot, later generations have larger words.
    #[inline]
    pub(crate) fn word(self) -> u64 {
        self.0
    }

    /// The handle whose [`Handle::word`] is `word`.
    #[inline]
    pub(crate) fn from_word(word: u64) -> Self {
        Self(word)
    }

    #[inline]
    pub(crate) fn is_none(self) -> bool {
        self == Self::NONE
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the low half is the slot")]
    pub(super) fn slot(self) -> u32 {
        self.0 as u32
    }

    pub(super) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The shard of a table with [`SHARDS`] shards. Slots of the same length are several words apart.
    pub(crate) fn shard(self) -> usize {
        self.slot() as usize / 4 % SHARDS
    }

    #[inline]
    pub(crate) fn page(self) -> usize {
        (self.slot() >> OFFSET_BITS) as usize
    }

    #[inline]
    pub(crate) fn offset(self) -> usize {
        (self.slot() & ((1 << OFFSET_BITS) - 1)) as usize
    }

    /// Returns true if this slot begins where the slot of `other` ends. `words` is the length of `other`.
    #[inline]
    pub(super) fn follows(self, other: Self, words: usize) -> bool {
        self.page() == other.page() && self.offset() == other.offset() + words
    }

    #[inline]
    pub(crate) fn range(self, words: usize) -> Range<usize> {
        self.offset()..self.offset() + words
    }
}

/// The allocator for slots. Freed slots are kept by length and reused for the next series of that length.
pub(super) struct SlotAllocator {
    page: usize,
    used_in_page: usize,
    free: Option<HashMap<usize, Vec<Handle>>>,
}

impl SlotAllocator {
    pub(super) const fn new() -> Self {
        Self { page: 0, used_in_page: UNUSED_WORDS, free: None }
    }

    /// Allocates a slot of `words` words. Returns `None` if all slots (2 GiB per thread) are in use.
    pub(super) fn take(&mut self, words: usize) -> Option<Handle> {
        debug_assert!(words >= SHORTEST_SLOT, "shorter slots would share a generation");
        if let Some(last) = self.free.as_mut().and_then(|free| free.get_mut(&words)?.pop()) {
            return Some(Handle::new(last.slot(), last.generation() + 1));
        }
        while self.used_in_page + words > page_words(self.page) {
            if self.page == LAST_PAGE {
                return None;
            }
            self.page += 1;
            self.used_in_page = 0;
        }
        let slot = u32::try_from(self.page << OFFSET_BITS | self.used_in_page).ok()?;
        self.used_in_page += words;
        Some(Handle::new(slot, 1))
    }

    /// Makes the slot available to another series.
    pub(super) fn give_back(&mut self, handle: Handle, words: usize) {
        // A slot whose generations are exhausted is retired because a new handle would equal an old one.
        if handle.generation() == u32::MAX {
            return;
        }
        let free = self.free.get_or_insert_default().entry(words).or_default();
        // Without memory for the list, the slot is lost.
        if free.try_reserve(1).is_ok() {
            free.push(handle);
        }
    }
}

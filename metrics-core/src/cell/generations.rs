//! The live generation of each slot, used to detect that a series has ended.

use std::array;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::handle::{self, Handle, SHORTEST_SLOT};
use super::sync::{AtomicU64, OnceLock, PAGES, zeros};

/// One word for each slot: the handle of its live series, or 0.
pub(super) struct Generations {
    /// Allocated with the first series of each page. A slot has at least [`SHORTEST_SLOT`] words, so the offset divided
    /// by that number identifies it.
    pages: [OnceLock<Box<[AtomicU64]>>; PAGES],
}

impl Generations {
    pub(super) fn new() -> Self {
        Self { pages: array::from_fn(|_| OnceLock::new()) }
    }

    /// Marks the series of `handle` as live. Returns false if memory is exhausted.
    ///
    /// Threads may allocate the same page concurrently; the first one to finish wins.
    pub(super) fn begin(&self, handle: Handle) -> bool {
        let page = &self.pages[handle.page()];
        if page.get().is_none() {
            let Some(words) = zeros(handle::page_words(handle.page()) / SHORTEST_SLOT + 1) else { return false };
            let _ = page.set(words);
        }
        self.word(handle).map(|word| word.store(handle.word(), Release)).is_some()
    }

    /// Ends the series of `handle`. Returns false if it is not the live generation of its slot.
    pub(super) fn end(&self, handle: Handle) -> bool {
        let ended = self.word(handle).map(|word| word.compare_exchange(handle.word(), 0, Release, Relaxed));
        matches!(ended, Some(Ok(_)))
    }

    /// Returns true if the series of `handle` has not ended.
    #[inline]
    pub(super) fn is_live(&self, handle: Handle) -> bool {
        self.word(handle).is_some_and(|word| word.load(Acquire) == handle.word())
    }

    #[inline]
    fn word(&self, handle: Handle) -> Option<&AtomicU64> {
        self.pages[handle.page()].get()?.get(handle.offset() / SHORTEST_SLOT)
    }
}

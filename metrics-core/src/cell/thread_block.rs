//! The current thread's block: the pages that the thread writes to, and their allocation.

use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;

use super::block::{Block, begin};
use super::handle::Handle;
use super::store::Store;
use super::sync::{AtomicU64, PAGES};

/// The pages of the thread's block that the thread has written to.
///
/// An empty page means that the thread has not written to it, that the thread is ending, or that the page is out of
/// range. One bounds check sends all three cases to the cold path.
pub(super) struct Pages {
    pages: [Cell<&'static [AtomicU64]>; PAGES],
    /// The words of the first-level lookup cache.
    cache_words: Cell<&'static [AtomicU64]>,
}

impl Pages {
    pub(super) const fn new() -> Self {
        Self { pages: [const { Cell::new([].as_slice()) }; PAGES], cache_words: Cell::new(&[]) }
    }

    #[inline]
    pub(super) fn cache_words(&self) -> &'static [AtomicU64] {
        self.cache_words.get()
    }

    /// The words from `handle`'s slot onward; empty if they must be accessed through [`write()`].
    #[inline]
    pub(super) fn from(&self, handle: Handle) -> &'static [AtomicU64] {
        self.pages[handle.page()].get().get(handle.offset()..).unwrap_or_default()
    }

    /// The first words of the cell of `handle`; `None` if it must be accessed through the cold path.
    #[inline]
    pub(super) fn cell<const WORDS: usize>(&self, handle: Handle) -> Option<&'static [AtomicU64; WORDS]> {
        self.slot(handle).filter(|cell| cell[0].load(Relaxed) == handle.word())
    }

    /// The first words of `handle`'s slot, which another series may use; `None` if the thread has not cached the page.
    #[inline]
    pub(super) fn slot<const WORDS: usize>(&self, handle: Handle) -> Option<&'static [AtomicU64; WORDS]> {
        self.pages[handle.page()].get().get(handle.range(WORDS))?.first_chunk()
    }

    /// Clears the pages, so that all further writes take the cold path.
    pub(super) fn forget(&self) {
        self.pages.iter().chain([&self.cache_words]).for_each(|page| page.set(&[]));
    }
}

/// The thread's block.
pub(super) struct ThreadBlock {
    block: Cell<Option<&'static Block>>,
    /// True while the block or part of it is being allocated. An allocator that records metrics re-enters and must not
    /// see a partial block.
    busy: Cell<bool>,
    /// True if the limit on blocks was reached when the thread requested a block. The thread does not try again.
    refused: Cell<bool>,
}

impl ThreadBlock {
    pub(super) const fn new() -> Self {
        Self { block: Cell::new(None), busy: Cell::new(false), refused: Cell::new(false) }
    }

    /// Returns the block, taking one from the store if necessary; `None` if the limit on blocks is reached or the call
    /// is re-entrant.
    pub(super) fn get(&self, store: &'static Store) -> Option<&'static Block> {
        self.with_block(store, |block| block)
    }

    /// Takes the block from a thread that is ending.
    pub(super) fn take(&self) -> Option<&'static Block> {
        self.block.take()
    }

    /// Returns the words of the lookup cache, allocated by the first call; `None` if the thread has no block.
    pub(super) fn cache_words(
        &self,
        store: &'static Store,
        pages: &Pages,
        words: usize,
    ) -> Option<&'static [AtomicU64]> {
        let cache_words = self.with_block(store, |block| block.cache_words(words))?;
        pages.cache_words.set(cache_words);
        Some(cache_words)
    }

    fn with_block<R>(&self, store: &'static Store, f: impl FnOnce(&'static Block) -> R) -> Option<R> {
        if self.refused.get() || self.busy.replace(true) {
            return None;
        }
        let block = self.block.get().or_else(|| store.take_block());
        self.block.set(block);
        self.refused.set(block.is_none());
        let result = block.map(f);
        self.busy.set(false);
        result
    }

    pub(super) fn cell(
        &self,
        store: &'static Store,
        pages: &Pages,
        handle: Handle,
        words: usize,
    ) -> Option<&'static [AtomicU64]> {
        let page = self.with_block(store, |block| block.page(handle.page()))?;
        pages.pages[handle.page()].set(page);
        page.get(handle.range(words))
    }
}

/// Writes to a cell that the thread has not cached for this generation.
///
/// `block` is `None` once the thread-locals are destroyed. The write then goes to the home block.
pub(super) fn write(
    store: &'static Store,
    block: Option<(&Pages, &ThreadBlock)>,
    handle: Handle,
    words: usize,
    write: &dyn Fn(&[AtomicU64]),
) {
    if !store.is_live(handle) {
        return;
    }
    match block.and_then(|(pages, block)| block.cell(store, pages, handle, words)) {
        Some(cell) => {
            if begin(cell, handle) {
                write(cell);
            }
        }
        None => store.write_home(handle, words, write),
    }
}

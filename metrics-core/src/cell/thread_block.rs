//! The current thread's block: the pages that the thread writes to, and their allocation.

use std::cell::Cell;
use std::cmp::Ordering;
use std::sync::atomic::Ordering::Relaxed;

use super::handle::Handle;
use super::store::{Block, Store, start_generation};
use super::sync::{AtomicU64, PAGES};

/// The pages of the thread's block that it has written to.
///
/// An empty page stands for "none yet", for "the thread is ending" and for "out of range" alike: one bounds check sends
/// all three to the cold path.
pub(super) struct Pages {
    pages: [Cell<&'static [AtomicU64]>; PAGES],
    /// For what the thread has looked up.
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

    /// The words from `handle`'s slot on; empty if they are reached by [`write()`] only.
    #[inline]
    pub(super) fn from(&self, handle: Handle) -> &'static [AtomicU64] {
        self.pages[handle.page()].get().get(handle.offset()..).unwrap_or_default()
    }

    /// From now on the thread has no words of its own.
    pub(super) fn forget(&self) {
        self.pages.iter().chain([&self.cache_words]).for_each(|page| page.set(&[]));
    }
}

/// The thread's block.
pub(super) struct ThreadBlock {
    block: Cell<Option<&'static Block>>,
    /// Whether it is just being made: an allocator that counts comes back to here and must not find it half made.
    busy: Cell<bool>,
    /// Whether there was none left when the thread asked for one; it does not ask again.
    refused: Cell<bool>,
}

impl ThreadBlock {
    pub(super) const fn new() -> Self {
        Self { block: Cell::new(None), busy: Cell::new(false), refused: Cell::new(false) }
    }

    /// The block, which the thread gets now if it has none; `None` if there is none left.
    pub(super) fn get(&self, store: &'static Store) -> Option<&'static Block> {
        self.with_block(store, |block| block)
    }

    /// The block of a thread that ends.
    pub(super) fn take(&self) -> Option<&'static Block> {
        self.block.take()
    }

    /// The words for what the thread has looked up, so many as the first who asks; `None` if it has no block.
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

    fn cell(&self, store: &'static Store, pages: &Pages, handle: Handle, words: usize) -> Option<&'static [AtomicU64]> {
        let page = self.with_block(store, |block| block.page(handle.page()))?;
        pages.pages[handle.page()].set(page);
        page.get(handle.range(words))
    }
}

/// Writes where the thread has no cell of this generation at hand; `block` is `None` once its thread-locals are gone.
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
            match cell[0].load(Relaxed).cmp(&handle.word()) {
                Ordering::Less => start_generation(cell, handle),
                Ordering::Equal => {}
                // The series has ended since it was seen to live, and the block's last thread wrote to the next one.
                Ordering::Greater => return,
            }
            write(cell);
        }
        None => store.write_home(handle, words, write),
    }
}

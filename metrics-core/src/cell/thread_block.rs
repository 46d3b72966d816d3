//! The current thread's block: the pages that the thread writes to, and their allocation.

use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;

use super::block::{Block, begin};
use super::handle::Handle;
use super::shared_blocks::BlockWriter;
use super::store::{CacheSet, Store, ThreadCells};
use super::sync::{AtomicU64, PAGES};

/// The pages of the thread's block that the thread has written to.
///
/// An empty page means that the thread has not written to it, that the thread is ending, or that the page is out of
/// range. One bounds check sends all three cases to the cold path.
pub(super) struct Pages {
    pages: [Cell<&'static [AtomicU64]>; PAGES],
    /// The first-level lookup cache.
    cache: Cell<&'static [CacheSet]>,
}

impl Pages {
    pub(super) const fn new() -> Self {
        Self { pages: [const { Cell::new([].as_slice()) }; PAGES], cache: Cell::new(&[]) }
    }

    #[inline]
    pub(super) fn cache(&self) -> &'static [CacheSet] {
        self.cache.get()
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

    /// Clears the pages, so that all further writes take the cold path. Returns the lookup cache.
    pub(super) fn forget(&self) -> &'static [CacheSet] {
        self.pages.iter().for_each(|page| page.set(&[]));
        self.cache.take()
    }
}

/// The current thread's dedicated block, or its access to the shared blocks.
pub(super) struct ThreadBlock {
    cells: Cell<Option<ThreadCells>>,
    /// True while a block, page or cache is being allocated, or a shared block is being locked. An allocator that
    /// records metrics re-enters and must not see a partial block.
    busy: Cell<bool>,
}

impl ThreadBlock {
    pub(super) const fn new() -> Self {
        Self { cells: Cell::new(None), busy: Cell::new(false) }
    }

    /// Returns the block, taking one from the store if necessary, even beyond the limit. Returns `None` if the call is
    /// re-entrant or memory is exhausted.
    pub(super) fn get(&self, store: &'static Store) -> Option<&'static Block> {
        self.with_cells(store, |cells| match cells {
            ThreadCells::Dedicated(block) => Some(block),
            ThreadCells::Shared(_) => {
                let block = store.new_block()?;
                self.cells.set(Some(ThreadCells::Dedicated(block)));
                Some(block)
            }
        })?
    }

    /// Takes the block from a thread that is ending.
    pub(super) fn take(&self) -> Option<&'static Block> {
        match self.cells.take()? {
            ThreadCells::Dedicated(block) => Some(block),
            ThreadCells::Shared(_) => None,
        }
    }

    /// Gives the thread a lookup cache of at least `dedicated` sets if it has a dedicated block, or `shared` sets
    /// otherwise. Returns true if it has a dedicated block; `None` if the call is re-entrant or memory is exhausted.
    pub(super) fn make_cache(
        &self,
        store: &'static Store,
        pages: &Pages,
        dedicated: usize,
        shared: usize,
    ) -> Option<bool> {
        self.with_cells(store, |cells| {
            let is_dedicated = matches!(cells, ThreadCells::Dedicated(_));
            let sets = if is_dedicated { dedicated } else { shared };
            let small = pages.cache();
            if small.len() < sets {
                pages.cache.set(store.take_cache(sets)?);
                if !small.is_empty() {
                    store.give_back_cache(small);
                }
            }
            Some(is_dedicated)
        })?
    }

    /// Locks a shared block for writing to these slots; `None` if the thread has a dedicated block, the call is
    /// re-entrant, or memory is exhausted.
    pub(super) fn lock_shared(&self, store: &'static Store, slots: &[Handle]) -> Option<BlockWriter<'static>> {
        self.with_cells(store, |cells| match cells {
            ThreadCells::Dedicated(_) => None,
            ThreadCells::Shared(sharer) => sharer.lock(store.generations(), slots),
        })?
    }

    fn with_cells<R>(&self, store: &'static Store, f: impl FnOnce(ThreadCells) -> R) -> Option<R> {
        if self.busy.replace(true) {
            return None;
        }
        let cells = self.cells.get().or_else(|| store.take_cells());
        self.cells.set(cells);
        let result = cells.map(f);
        self.busy.set(false);
        result
    }

    /// The thread's cell for `handle`; `None` if the thread has no dedicated block, the call is re-entrant, or there is
    /// no memory.
    pub(super) fn cell(
        &self,
        store: &'static Store,
        pages: &Pages,
        handle: Handle,
        words: usize,
    ) -> Option<&'static [AtomicU64]> {
        let page = self.with_cells(store, |cells| match cells {
            ThreadCells::Dedicated(block) => block.page(handle.page()),
            ThreadCells::Shared(_) => None,
        })??;
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
    if let Some(cell) = block.and_then(|(pages, block)| block.cell(store, pages, handle, words)) {
        if begin(cell, handle) {
            write(cell);
        }
        return;
    }
    let writer = lock_for_all(store, block.map(|(_, block)| block), &[handle]);
    if let Some(cell) = writer.cell(handle, words) {
        write(cell);
    }
}

/// Locks a block for a thread without a dedicated one: a shared block, or the home block if the thread is ending, the
/// call is re-entrant, or memory is exhausted.
pub(super) fn lock_for_all(
    store: &'static Store,
    block: Option<&ThreadBlock>,
    slots: &[Handle],
) -> BlockWriter<'static> {
    block.and_then(|block| block.lock_shared(store, slots)).unwrap_or_else(|| store.lock_home())
}

//! A block: one cell for each slot, and the rules for the generations of these cells.

use std::array;
use std::cmp::Ordering;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::handle::{self, Handle};
use super::sync::{AtomicU64, OnceLock, PAGES, zeros};

/// The pages of a dedicated, shared or home block. Dedicated blocks are leaked, but reused by new threads.
pub(super) struct Block {
    pub(super) pages: [OnceLock<Box<[AtomicU64]>>; PAGES],
    /// The block that was created after this one. Readers follow this list without a lock or an allocation.
    pub(super) next: OnceLock<&'static Block>,
}

impl Block {
    pub(super) fn new() -> Self {
        Self { pages: array::from_fn(|_| OnceLock::new()), next: OnceLock::new() }
    }

    /// The words of a page, which is allocated if necessary; `None` if memory is exhausted.
    ///
    /// Threads may allocate the same page concurrently; the first one to finish wins.
    pub(super) fn page(&self, page: usize) -> Option<&[AtomicU64]> {
        let words = &self.pages[page];
        if words.get().is_none() {
            let _ = words.set(zeros(handle::page_words(page))?);
        }
        words.get().map(Box::as_ref)
    }

    /// Allocates the pages of these slots. Returns false if memory is exhausted.
    pub(super) fn prepare(&self, slots: &[Handle]) -> bool {
        let mut pages = slots.iter().filter(|slot| !slot.is_none()).map(|slot| slot.page());
        pages.all(|page| self.page(page).is_some())
    }

    /// The words of `handle`'s slot, if this block has them.
    #[inline]
    pub(super) fn cell(&self, handle: Handle, words: usize) -> Option<&[AtomicU64]> {
        self.pages[handle.page()].get()?.get(handle.range(words))
    }
}

/// Returns the block's cell for this series, if it has one.
#[inline]
pub(super) fn held(block: &'static Block, handle: Handle, words: usize) -> Option<&'static [AtomicU64]> {
    block.cell(handle, words).filter(|cell| cell[0].load(Acquire) == handle.word())
}

/// Resets a cell for `handle`. A concurrent scrape sees a different generation before or after it reads the cell, and
/// skips it.
pub(super) fn start_generation(cell: &[AtomicU64], handle: Handle) {
    // Release: after `access::end_reads`, a reader that saw this zero or the new handle sees the end of the old series.
    cell[0].store(0, Release);
    // Release: a reader that sees one of these zeros cannot see the old generation afterwards.
    for word in &cell[1..] {
        word.store(0, Release);
    }
    cell[0].store(handle.word(), Release);
}

/// Returns true if all words loaded from `cell` (with acquire ordering) since it was found belong to the series of
/// `handle`.
#[inline]
pub(super) fn holds(cell: &[AtomicU64], handle: Handle) -> bool {
    cell[0].load(Relaxed) == handle.word()
}

/// Prepares the thread's cell for writing to this series. Returns false if the series has ended.
pub(super) fn begin(cell: &[AtomicU64], handle: Handle) -> bool {
    match cell[0].load(Relaxed).cmp(&handle.word()) {
        Ordering::Less => start_generation(cell, handle),
        Ordering::Equal => {}
        // The series ended after the liveness check, and another writer of this block has already written to the series
        // that reuses the slot.
        Ordering::Greater => return false,
    }
    true
}

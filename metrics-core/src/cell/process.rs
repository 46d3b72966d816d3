//! The one store of the process, and each thread's way to its own words in it.

use super::own::{self, Own, Pages};
use super::slot::Handle;
use super::store::{self, Store};
use super::sync::{AtomicU64, AtomicUsize};

static STORE: Store = Store::new(AtomicUsize::new(usize::MAX));

thread_local! {
    // No destructor, so that reading it is one plain access.
    static PAGES: Pages = const { Pages::new() };
    static OWNER: Owner = const { Owner(Own::new()) };
}

/// Hands the thread's block on when the thread ends.
struct Owner(Own);

impl Drop for Owner {
    fn drop(&mut self) {
        PAGES.with(Pages::forget);
        if let Some(block) = self.0.take() {
            STORE.give_back(block);
        }
    }
}

/// Writes to the `WORDS` words of `handle` that the current thread may write; nothing if its series has ended.
///
/// `write` is called at most once, with the words of the right generation.
#[inline]
pub(super) fn with_array<const WORDS: usize>(handle: Handle, write: impl Fn(&[AtomicU64; WORDS])) {
    match PAGES.with(|pages| pages.from(handle)).first_chunk::<WORDS>() {
        Some(cell) if is_of(cell, handle) => write(cell),
        _ => write_cold(handle, WORDS, &|cell| {
            if let Some(cell) = cell.first_chunk::<WORDS>() {
                write(cell);
            }
        }),
    }
}

/// As [`with_array`], for cells whose length is known at run time only.
#[inline]
pub(super) fn with_slice(handle: Handle, words: usize, write: impl Fn(&[AtomicU64])) {
    match PAGES.with(|pages| pages.from(handle)).get(..words) {
        Some(cell) if is_of(cell, handle) => write(cell),
        _ => write_cold(handle, words, &write),
    }
}

#[inline]
fn is_of(cell: &[AtomicU64], handle: Handle) -> bool {
    cell[0].load(std::sync::atomic::Ordering::Relaxed) == handle.word()
}

#[cold]
#[inline(never)]
fn write_cold(handle: Handle, words: usize, write: &dyn Fn(&[AtomicU64])) {
    let done =
        OWNER.try_with(|Owner(own)| PAGES.with(|pages| own::write(&STORE, Some((pages, own)), handle, words, write)));
    if done.is_err() {
        own::write(&STORE, None, handle, words, write);
    }
}

/// From now on at most so many threads at once have words of their own, and all others share theirs.
pub(crate) fn limit_threads(most: usize) {
    STORE.limit_blocks(most);
}

/// Whether the current thread has words of its own; gives it some if it may have them.
pub(crate) fn has_own() -> bool {
    OWNER.try_with(|Owner(own)| own.has_block(&STORE)).unwrap_or(false)
}

/// A place of `words` words (the generation word included) for a new series, at zero in every thread.
///
/// `None` when all places there are (2 GiB a thread) are in use.
pub(crate) fn allocate(words: usize) -> Option<Handle> {
    STORE.allocate(words)
}

/// Ends the series of `handle`: its place may now serve another one.
pub(crate) fn free(handle: Handle, words: usize) {
    STORE.free(handle, words);
}

/// Whether the series of `handle` has not been ended.
#[inline]
pub(crate) fn is_live(handle: Handle) -> bool {
    STORE.is_live(handle)
}

/// See [`Store::cells`].
#[inline]
pub(super) fn cells(handle: Handle, words: usize) -> impl Iterator<Item = &'static [AtomicU64]> {
    STORE.cells(handle, words)
}

/// See [`Store::each_cell`].
#[inline]
pub(super) fn each_cell(handles: &[Handle], words: usize, read: impl FnMut(usize, &'static [AtomicU64])) {
    STORE.each_cell(handles, words, read);
}

pub(super) use store::holds;

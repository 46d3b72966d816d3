//! Access to the cells of the process: writes by the current thread, and reads across all threads.

use std::sync::atomic::Ordering::Relaxed;

use super::handle::Handle;
use super::sync::AtomicU64;
use super::thread_block;
use super::thread_locals::{read_scope, store, with_block, words_from};

pub(super) use super::store::holds;

/// Writes to the `WORDS` words of `handle` that the current thread may write; nothing if its series has ended.
///
/// `write` is called at most once, with the words of the right generation.
#[inline]
pub(super) fn with_array<const WORDS: usize>(handle: Handle, write: impl Fn(&[AtomicU64; WORDS])) {
    match words_from(handle).first_chunk::<WORDS>() {
        Some(cell) if cell[0].load(Relaxed) == handle.word() => write(cell),
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
    match words_from(handle).get(..words) {
        Some(cell) if cell[0].load(Relaxed) == handle.word() => write(cell),
        _ => write_cold(handle, words, &write),
    }
}

#[cold]
#[inline(never)]
fn write_cold(handle: Handle, words: usize, write: &dyn Fn(&[AtomicU64])) {
    if with_block(|pages, block| thread_block::write(store(), Some((pages, block)), handle, words, write)).is_none() {
        thread_block::write(store(), None, handle, words, write);
    }
}

/// From now on at most so many threads at once have words of their own, and all others share theirs.
pub(crate) fn limit_threads(most: usize) {
    store().limit_blocks(most);
}

/// The first-level cache of the current thread; empty if it has none.
#[inline]
pub(crate) fn cache_words() -> &'static [AtomicU64] {
    super::thread_locals::cache_words()
}

/// Like [`cache_words`], but allocated if there is none yet; `None` if the thread has no block.
pub(crate) fn make_cache_words(words: usize) -> Option<&'static [AtomicU64]> {
    with_block(|pages, block| block.cache_words(store(), pages, words)).flatten()
}

#[cfg(test)]
#[allow(dead_code, reason = "only the models use it")]
pub(crate) fn thread_blocks() -> usize {
    store().thread_blocks()
}

#[cfg(test)]
pub(crate) fn hold_locks() -> impl Sized {
    store().hold_locks()
}

/// A slot of `words` words (the generation word included) for a new series, at zero in every thread.
///
/// `None` when all slots there are (2 GiB a thread) are in use.
pub(crate) fn allocate(words: usize) -> Option<Handle> {
    store().allocate(words)
}

/// Ends the series of `handle`: its slot may now serve another one.
pub(crate) fn free(handle: Handle, words: usize) {
    store().free(handle, words);
}

/// Whether the series of `handle` has not been ended.
#[inline]
pub(crate) fn is_live(handle: Handle) -> bool {
    store().is_live(handle)
}

/// What the cells of one series come to.
#[inline]
pub(super) fn total<T: Default>(handle: Handle, words: usize, add: impl Fn(&mut T, &[AtomicU64], Handle)) -> T {
    let mut total = T::default();
    for cell in store().cells(read_scope(), handle, words) {
        add(&mut total, cell, handle);
    }
    total
}

/// What the cells of many series come to, each for itself, in their order.
#[inline]
pub(super) fn totals<T: Default>(
    handles: &[Handle],
    words: usize,
    totals: &mut Vec<T>,
    add: impl Fn(&mut T, &[AtomicU64], Handle),
) {
    totals.clear();
    totals.resize_with(handles.len(), T::default);
    each_cell(handles, words, |position, cell| add(&mut totals[position], cell, handles[position]));
}

/// The cells of many series; see the store.
#[inline]
pub(super) fn each_cell(handles: &[Handle], words: usize, read: impl FnMut(usize, &'static [AtomicU64])) {
    store().each_cell(read_scope(), handles, words, read);
}

/// Whether each of these series has not been ended.
pub(crate) fn are_live(handles: &[Handle], live: &mut Vec<bool>) {
    store().are_live(handles, live);
}

//! Access to the process's cells: writes by the current thread, and reads across all threads.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::handle::Handle;
use super::store::{CacheSet, PageByPage};
use super::sync::{AtomicU64, fence};
use super::thread_block;
#[cfg(test)]
use super::thread_locals::directory;
#[cfg_attr(test, allow(unused_imports, reason = "the models do not use it"))]
pub(crate) use super::thread_locals::unless_allocating;
use super::thread_locals::{allocating, read_scope, store, with_block, with_pages, words_from};

pub(super) use super::block::holds;

/// The current thread's cell for `handle`; `None` if the thread has not cached it. The caller then uses [`with_any`],
/// in a function that takes numbers: a closure would be written to the stack in every call.
#[inline]
pub(super) fn cached<const WORDS: usize>(handle: Handle) -> Option<&'static [AtomicU64; WORDS]> {
    with_pages(|pages| pages.cell(handle))
}

/// Like [`cached`], for a cell to which a loop may write again at once. Needs four more instructions, but computes the
/// cell's address in a register. Some processors then read a word from the preceding write without waiting for it,
/// which halves the time of such a loop.
#[inline]
pub(super) fn cached_in_loop<const WORDS: usize>(handle: Handle) -> Option<&'static [AtomicU64; WORDS]> {
    words_from(handle).first_chunk().filter(|cell| cell[0].load(Relaxed) == handle.word())
}

/// Writes to the current thread's cell for `handle`. Does nothing if the series has ended.
///
/// `write` is called at most once, with the cell's `WORDS` words, after the generation has been checked.
pub(super) fn with_any<const WORDS: usize>(handle: Handle, write: &dyn Fn(&[AtomicU64; WORDS])) {
    write_cold(handle, WORDS, &|cell| {
        if let Some(cell) = cell.first_chunk::<WORDS>() {
            write(cell);
        }
    });
}

/// Writes to the current thread's cell for `handle`, whose length is known only at run time. Does nothing if the series
/// has ended.
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

/// Limits the number of threads that can have a block at the same time. All other threads share blocks.
pub(crate) fn limit_threads(most: usize) {
    store().limit_blocks(most);
}

/// The current thread's first-level lookup cache; empty if the thread has none.
#[inline]
pub(crate) fn cache() -> &'static [CacheSet] {
    super::thread_locals::cache()
}

/// Gives the thread a first-level lookup cache of at least `dedicated` sets if it has dedicated cells, or `shared`
/// sets otherwise. Returns true if the thread has dedicated cells, false if it shares cells, and `None` if it is
/// ending, the call is re-entrant, or memory is exhausted.
pub(crate) fn make_cache(dedicated: usize, shared: usize) -> Option<bool> {
    with_block(|pages, block| block.make_cache(store(), pages, dedicated, shared)).flatten()
}

#[cfg(test)]
#[allow(dead_code, reason = "only the models use it")]
pub(crate) fn thread_blocks() -> usize {
    store().thread_blocks()
}

#[cfg(test)]
pub(crate) fn hold_locks() -> impl Sized {
    (store().hold_locks(), directory().hold_locks())
}

/// Allocates a slot of `words` words, including the generation word. The other words read as zero in every thread.
///
/// Returns `None` if all slots (2 GiB per thread) are in use, or if memory is exhausted.
pub(crate) fn allocate(words: usize) -> Option<Handle> {
    allocating(|| store().allocate(words))
}

/// Ends the series of `handle` and makes its slot available to another series.
pub(crate) fn free(handle: Handle, words: usize) {
    allocating(|| store().free(handle, words));
}

/// Returns true if the series of `handle` has not ended.
#[inline]
pub(crate) fn is_live(handle: Handle) -> bool {
    store().is_live(handle)
}

/// The word with the time of a bucket's next exemplar; `None` if it has not been allocated. Numbers of buckets must be
/// smaller than the number of words of the series.
#[inline]
#[cfg_attr(test, allow(dead_code, reason = "the models do not use it"))]
pub(crate) fn exemplar_time(handle: Handle, bucket: usize) -> Option<&'static AtomicU64> {
    store().exemplar_time(handle, bucket)
}

/// Like [`exemplar_time`], but allocates the word. Returns `None` if the series has ended. The allocator may be user
/// code that takes exemplars, so the caller must use [`unless_allocating`].
#[cfg_attr(test, allow(dead_code, reason = "the models do not use it"))]
pub(crate) fn make_exemplar_time(handle: Handle, bucket: usize) -> Option<&'static AtomicU64> {
    if is_live(handle) { store().make_exemplar_time(handle, bucket) } else { None }
}

/// Adds up the cells of one series.
#[inline]
pub(super) fn total<T: Default, const WORDS: usize>(
    handle: Handle,
    add: impl Fn(&mut T, &[AtomicU64; WORDS], Handle),
) -> T {
    let mut total = T::default();
    for cell in store().cells(read_scope(), handle, WORDS).filter_map(<[AtomicU64]>::first_chunk) {
        add(&mut total, cell, handle);
    }
    total
}

/// Adds up the cells of each series, in the order of `handles`.
#[inline]
pub(super) fn totals<T: Default, const WORDS: usize>(
    handles: &[Handle],
    totals: &mut Vec<T>,
    add: impl Fn(&mut T, &[AtomicU64; WORDS], Handle),
) {
    totals.clear();
    totals.resize_with(handles.len(), T::default);
    // Series that were created one after another usually have adjacent cells. Removed series, reused slots and page
    // boundaries interrupt a run.
    let run = handles.first().filter(|_| handles.is_sorted_by(|one, next| next.follows(*one, WORDS)));
    for block in store().blocks(read_scope()) {
        let mut pages = PageByPage::of(block);
        match run {
            Some(first) => {
                let (cells, _) = pages.words(*first, handles.len() * WORDS).as_chunks();
                for ((total, handle), cell) in totals.iter_mut().zip(handles).zip(cells) {
                    if cell[0].load(Acquire) == handle.word() {
                        add(total, cell, *handle);
                    }
                }
            }
            None => {
                for (total, handle) in totals.iter_mut().zip(handles) {
                    if let Some(cell) = pages.cell(*handle, WORDS).and_then(<[AtomicU64]>::first_chunk) {
                        add(total, cell, *handle);
                    }
                }
            }
        }
    }
}

/// Reads the cells of many series; see [`Store::each_cell`](super::store::Store::each_cell).
#[inline]
pub(super) fn each_cell(handles: &[Handle], words: usize, read: impl FnMut(usize, &'static [AtomicU64])) {
    store().each_cell(read_scope(), handles, words, read);
}

/// Ends a reading of cells. If a cell turned out to hold another series, loads that follow see the end of the series
/// that was read, and everything that happened before it.
pub(crate) fn end_reads() {
    fence(Acquire);
}

/// Fills `live` with one flag per handle: true if its series has not ended.
pub(crate) fn are_live(handles: &[Handle], live: &mut Vec<bool>) {
    store().are_live(handles, live);
}

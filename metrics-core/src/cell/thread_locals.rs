//! The process-wide store, and the thread-locals that hold a thread's block. Like `sync.rs`, this file is replaced in
//! the Loom models. The test `thread_end` covers it instead.

use std::cell::Cell;
use std::thread::LocalKey;

use lazy_static::lazy_static;

use super::chunks::Directory;
use super::handle::Handle;
use super::store::{CacheSet, ReadScope, Store};
use super::sync::AtomicU64;
use super::thread_block::{Pages, ThreadBlock};

lazy_static! {
    static ref STORE: Store = Store::new();
    static ref DIRECTORY: Directory = Directory::new();
}

thread_local! {
    // `Pages` has no destructor, so that an access is a plain load.
    static PAGES: Pages = const { Pages::new() };
    static BLOCK: ReleaseOnDrop = const { ReleaseOnDrop(ThreadBlock::new()) };
    static READS_OWN_BLOCK: Cell<bool> = const { Cell::new(false) };
    static IS_ALLOCATING: Cell<bool> = const { Cell::new(false) };
}

/// Returns the thread's block to the store when the thread ends.
struct ReleaseOnDrop(ThreadBlock);

impl Drop for ReleaseOnDrop {
    fn drop(&mut self) {
        let cache = PAGES.with(Pages::forget);
        if !cache.is_empty() {
            STORE.give_back_cache(cache);
        }
        if let Some(block) = self.0.take() {
            STORE.give_back(block);
        }
    }
}

pub(super) fn store() -> &'static Store {
    &STORE
}

/// The series with exponential buckets.
pub(super) fn directory() -> &'static Directory {
    &DIRECTORY
}

/// The current thread's words from `handle`'s slot onward; empty if the thread has not cached the page.
#[inline]
pub(super) fn words_from(handle: Handle) -> &'static [AtomicU64] {
    PAGES.with(|pages| pages.from(handle))
}

/// Calls `f` with the current thread's pages.
#[inline]
pub(super) fn with_pages<R>(f: impl FnOnce(&Pages) -> R) -> R {
    PAGES.with(f)
}

/// The current thread's first-level lookup cache.
#[inline]
pub(super) fn cache() -> &'static [CacheSet] {
    PAGES.with(Pages::cache)
}

/// Runs `f` with the current thread's block. Returns `None` if the thread-locals have been destroyed.
pub(super) fn with_block<R>(f: impl FnOnce(&Pages, &ThreadBlock) -> R) -> Option<R> {
    BLOCK.try_with(|ReleaseOnDrop(block)| PAGES.with(|pages| f(pages, block))).ok()
}

/// Runs `f` while `flag` is true.
fn flagged<R>(flag: &'static LocalKey<Cell<bool>>, f: impl FnOnce() -> R) -> R {
    struct Restore(&'static LocalKey<Cell<bool>>, bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            self.0.set(self.1);
        }
    }
    let _restore = Restore(flag, flag.replace(true));
    f()
}

/// Runs `f`, which may allocate. While it runs, an allocator that observes values causes no further allocations, and
/// takes no lock that `f` may hold.
pub(super) fn allocating<R>(f: impl FnOnce() -> R) -> R {
    flagged(&IS_ALLOCATING, f)
}

/// Like [`allocating`], but returns `None` if the thread is already allocating.
pub(crate) fn unless_allocating<R>(f: impl FnOnce() -> R) -> Option<R> {
    (!IS_ALLOCATING.get()).then(|| allocating(f))
}

/// Runs `f`. While it runs, scrapes on the current thread read only that thread's block.
#[cfg_attr(not(feature = "testing"), allow(dead_code, reason = "only the test helpers use it"))]
pub(crate) fn reading_own_block<R>(f: impl FnOnce() -> R) -> R {
    flagged(&READS_OWN_BLOCK, f)
}

/// Returns false within [`reading_own_block`].
pub(crate) fn reads_all_blocks() -> bool {
    !READS_OWN_BLOCK.get()
}

/// Returns the blocks that a scrape on the current thread reads.
///
/// A thread without a block takes one here. If it took a reused block later, the counts of that block's previous thread
/// would appear as its own.
pub(super) fn read_scope() -> ReadScope {
    if READS_OWN_BLOCK.get() {
        ReadScope::Thread(with_block(|_, block| block.get(store())).flatten())
    } else {
        ReadScope::All
    }
}

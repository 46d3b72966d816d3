//! The process-wide store, and the thread-locals that hold a thread's block. The Loom models replace this file too; the
//! test `thread_end` covers it instead.

use lazy_static::lazy_static;

use super::handle::Handle;
use super::store::Store;
use super::sync::AtomicU64;
use super::thread_block::{Pages, ThreadBlock};

lazy_static! {
    static ref STORE: Store = Store::new();
}

thread_local! {
    // No destructor, so that reading it is one plain access.
    static PAGES: Pages = const { Pages::new() };
    static BLOCK: ReleaseOnDrop = const { ReleaseOnDrop(ThreadBlock::new()) };
}

/// Hands the thread's block on when the thread ends.
struct ReleaseOnDrop(ThreadBlock);

impl Drop for ReleaseOnDrop {
    fn drop(&mut self) {
        PAGES.with(Pages::forget);
        if let Some(block) = self.0.take() {
            STORE.give_back(block);
        }
    }
}

pub(super) fn store() -> &'static Store {
    &STORE
}

/// The current thread's words from `handle`'s slot on, where it has them at hand.
#[inline]
pub(super) fn words_from(handle: Handle) -> &'static [AtomicU64] {
    PAGES.with(|pages| pages.from(handle))
}

/// The first-level cache of the current thread.
#[inline]
pub(super) fn cache_words() -> &'static [AtomicU64] {
    PAGES.with(Pages::cache_words)
}

/// `None` once the thread's locals are gone.
pub(super) fn with_block<R>(f: impl FnOnce(&Pages, &ThreadBlock) -> R) -> Option<R> {
    BLOCK.try_with(|ReleaseOnDrop(block)| PAGES.with(|pages| f(pages, block))).ok()
}

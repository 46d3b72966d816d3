//! Replaces `cell::thread_locals` with values that are recreated for each run of a model.

use super::chunks::Directory;
use super::handle::Handle;
use super::store::{CacheSet, ReadScope, Store};
use super::sync::AtomicU64;
use super::thread_block::{Pages, ThreadBlock};

loom::lazy_static! {
    // The store is leaked because Loom would otherwise drop it when the main thread ends, while other threads may still
    // be using it.
    static ref STORE: &'static Store = Box::leak(Box::new(Store::new()));
    static ref DIRECTORY: &'static Directory = Box::leak(Box::new(Directory::new()));
}

loom::thread_local! {
    static LOCALS: Locals = Locals { pages: Pages::new(), block: ThreadBlock::new() };
}

struct Locals {
    pages: Pages,
    block: ThreadBlock,
}

impl Drop for Locals {
    fn drop(&mut self) {
        let cache = self.pages.forget();
        if !cache.is_empty() {
            STORE.give_back_cache(cache);
        }
        if let Some(block) = self.block.take() {
            STORE.give_back(block);
        }
    }
}

pub(super) fn store() -> &'static Store {
    &STORE
}

pub(super) fn directory() -> &'static Directory {
    &DIRECTORY
}

pub(super) fn words_from(handle: Handle) -> &'static [AtomicU64] {
    LOCALS.try_with(|locals| locals.pages.from(handle)).unwrap_or_default()
}

pub(super) fn with_pages<R>(f: impl FnOnce(&Pages) -> R) -> R {
    let mut f = Some(f);
    let mut call = |pages: &Pages| f.take().expect("called once")(pages);
    match LOCALS.try_with(|locals| call(&locals.pages)) {
        Ok(result) => result,
        // As in an ending thread, all pages are empty.
        Err(_) => call(&Pages::new()),
    }
}

pub(super) fn allocating<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// The models' allocator observes nothing.
pub(crate) fn unless_allocating<R>(f: impl FnOnce() -> R) -> Option<R> {
    Some(f())
}

pub(super) fn cache() -> &'static [CacheSet] {
    LOCALS.try_with(|locals| locals.pages.cache()).unwrap_or_default()
}

pub(super) fn with_block<R>(f: impl FnOnce(&Pages, &ThreadBlock) -> R) -> Option<R> {
    LOCALS.try_with(|locals| f(&locals.pages, &locals.block)).ok()
}

/// The models read all blocks.
pub(super) fn read_scope() -> ReadScope {
    ReadScope::All
}

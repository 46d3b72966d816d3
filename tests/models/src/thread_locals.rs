//! What `cell::thread_locals` is in the process, here anew for each run of a model.

use super::handle::Handle;
use super::store::Store;
use super::sync::AtomicU64;
use super::thread_block::{Own, Pages};

loom::lazy_static! {
    static ref STORE: Store = Store::new();
}

loom::thread_local! {
    static LOCALS: Locals = Locals { pages: Pages::new(), own: Own::new() };
}

struct Locals {
    pages: Pages,
    own: Own,
}

impl Drop for Locals {
    fn drop(&mut self) {
        self.pages.forget();
        if let Some(block) = self.own.take() {
            STORE.give_back(block);
        }
    }
}

pub(super) fn store() -> &'static Store {
    &STORE
}

pub(super) fn words_from(handle: Handle) -> &'static [AtomicU64] {
    LOCALS.try_with(|locals| locals.pages.from(handle)).unwrap_or_default()
}

pub(super) fn notes() -> &'static [AtomicU64] {
    LOCALS.try_with(|locals| locals.pages.notes()).unwrap_or_default()
}

pub(super) fn with_own<R>(f: impl FnOnce(&Pages, &Own) -> R) -> Option<R> {
    LOCALS.try_with(|locals| f(&locals.pages, &locals.own)).ok()
}

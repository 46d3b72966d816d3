//! The synchronization primitives and sizes of the store. The Loom models replace this file with one that Loom tracks.

pub(crate) use std::sync::atomic::{AtomicU64, fence};
pub(crate) use std::sync::{Mutex, OnceLock};

pub(crate) use crate::lock::lock;

/// The most pages that a block can have.
pub(crate) const PAGES: usize = 32;
/// Words in the first page; each further page is twice as long.
pub(crate) const FIRST_PAGE_WORDS: usize = 512;
/// Readings of a histogram's cell that is being written, before one is taken whose distribution may be a few observations
/// off.
pub(crate) const CONSISTENT_READ_ATTEMPTS: usize = 1_000;

/// So many words at zero; the system gives them memory only where they are written.
pub(crate) fn zeros(words: usize) -> Box<[AtomicU64]> {
    bytemuck::zeroed_slice_box(words)
}

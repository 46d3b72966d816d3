//! The synchronization primitives and sizes of the store. The Loom models replace this file with a version that
//! uses Loom's primitives and smaller sizes.

pub(crate) use std::sync::atomic::{AtomicU64, fence};
pub(crate) use std::sync::{Mutex, MutexGuard, OnceLock};

pub(crate) use portable_atomic::AtomicU128;

use std::num::NonZero;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

pub(crate) use crate::lock::lock;

/// The maximum number of pages in a block.
pub(crate) const PAGES: usize = 32;
/// The number of words in the first page. Each subsequent page is twice as long as the one before it.
pub(crate) const FIRST_PAGE_WORDS: usize = 512;
/// The minimum of [`default_blocks`].
pub(crate) const FEWEST_BLOCKS: usize = 64;
/// The maximum number of attempts to read a histogram's cell consistently. If all fail, a few observations may appear
/// in a lower bucket.
pub(crate) const CONSISTENT_READ_ATTEMPTS: usize = 1_000;

/// The number of buckets in a chunk of exponential buckets.
pub(crate) const CHUNK_BUCKETS: usize = 64;
/// The number of bits of a count in a chunk. Larger counts need a wide chunk.
pub(crate) const COUNT_BITS: u32 = 15;
/// The number of chunks of a series that have the full resolution, up to schema 6.
pub(crate) const FINE_CHUNKS: usize = 64;

/// The default limit on dedicated blocks: 8 per core, but no fewer than [`FEWEST_BLOCKS`].
pub(crate) fn default_blocks() -> usize {
    FEWEST_BLOCKS.max(8 * cores())
}

/// The number of shared blocks: two per core.
pub(crate) fn shared_blocks() -> usize {
    2 * cores()
}

fn cores() -> usize {
    // The standard library reads files in each call.
    static CORES: AtomicUsize = AtomicUsize::new(0);
    match CORES.load(Relaxed) {
        0 => {
            let cores = thread::available_parallelism().map_or(1, NonZero::get);
            CORES.store(cores, Relaxed);
            cores
        }
        cores => cores,
    }
}

/// Allocates `words` zeroed words; `None` if memory is exhausted. The operating system commits memory only for pages
/// that are written.
pub(crate) fn zeros(words: usize) -> Option<Box<[AtomicU64]>> {
    bytemuck::try_zeroed_slice_box(words).ok()
}

//! The limit on the number of threads that have dedicated cells and caches.

use crate::cell::access;

/// Gives cells of their own to at most `threads` threads at once; all further threads share theirs, under a lock.
///
/// Each thread writes to cells of its own, so that no thread waits for another. It has them for the series it has
/// touched: 24 bytes for a counter, 32 for a summary, 40 and 8 for each bucket for a histogram, and about 60 for what it
/// remembers of the label values; and 64 KiB for label values that are near at hand, once it looks any up. The system gives
/// it memory by pages, so series that lie far apart cost more. A thread that ends leaves its cells to the next one. So
/// memory is bounded by the most threads there were at once times the series they touched, which is little for the few
/// threads of an async runtime, and some 180 MiB for 1,000 threads that all touch 2,000 summaries.
///
/// Where that is too much, call this early in `main`; cells that were given out before stay in use. Threads that write for the first time
/// when so many have cells already, take a lock for each write and each look-up, for as long as they live. Their numbers are as exact.
///
/// # Example: cells for 64 threads
///
/// ```
/// metrics_core::limit_thread_local_cells(64);
/// ```
pub fn limit_thread_local_cells(threads: usize) {
    access::limit_threads(threads);
}

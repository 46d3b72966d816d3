//! The limit on the number of threads that have dedicated cells and large caches.

use crate::cell::access;

/// Limits the number of threads that have dedicated cells at the same time; all other threads share cells.
///
/// A thread with dedicated cells does not wait for other threads when it writes to a series that it has used before. By
/// default, 8 threads per core, but no fewer than 64 in total, can have dedicated cells. Change the limit only if more
/// threads than that record constantly, or if memory is scarce.
///
/// For each series that it touches, a thread has a cell (24 bytes for a counter, 32 bytes for a summary, or 40 bytes
/// plus 8 per bucket for a histogram) and about 60 bytes of cached label values. Quantiles and native buckets need
/// more; see [`guide::distributions`](crate::guide::distributions#cost). A thread that looks up label values also has a
/// cache of 8 KiB, or 64 KiB if it uses many label sets. The operating system allocates memory in pages, so cells that
/// are far apart need more memory. When a thread ends, a new thread can reuse its cells.
///
/// If `threads` other threads have cells when a thread records its first value, that thread shares cells for the rest
/// of its life. It locks a shared block of cells for each write. There are two such blocks per core, so it rarely
/// waits. It keeps only the 8 KiB cache, and looks up all other label sets under the family's lock. No values are lost.
/// Threads that already have cells keep them, so call this function early in `main`.
///
/// # Example: dedicated cells for 16 threads
///
/// ```
/// metrics_core::limit_thread_local_cells(16);
/// ```
pub fn limit_thread_local_cells(threads: usize) {
    access::limit_threads(threads);
}

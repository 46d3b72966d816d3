//! The limit on the number of threads that have dedicated cells and caches.

use crate::cell::access;

/// Limits the number of threads that have dedicated cells at the same time; all other threads share cells under a lock.
///
/// By default, every thread that records metrics writes to dedicated cells, so that threads never wait for each other.
/// For each series that it touches, a thread has a cell (24 bytes for a counter, 32 bytes for a summary, or 40 bytes
/// plus 8 per bucket for a histogram) and about 60 bytes of cached label values. Quantiles and native buckets need more;
/// see [`guide::distributions`](crate::guide::distributions#cost). A thread that looks up label values also has a
/// fixed-size cache of 64 KiB. The operating system allocates memory in pages, so cells that are far apart
/// need more memory.
///
/// When a thread ends, a new thread can reuse its cells. Memory is therefore bounded by the peak number of threads
/// times the number of series that they touch. The few threads of an async runtime need little memory; 1,000 threads
/// that all touch 2,000 summaries need about 180 MiB.
///
/// To use less memory, call this function early in `main`. Threads that already have cells keep them. If `threads`
/// other threads have cells when a thread records its first value, that thread takes a lock for each write and each
/// lookup for the rest of its life. Its values are just as exact.
///
/// # Example: dedicated cells for 64 threads
///
/// ```
/// metrics_core::limit_thread_local_cells(64);
/// ```
pub fn limit_thread_local_cells(threads: usize) {
    access::limit_threads(threads);
}

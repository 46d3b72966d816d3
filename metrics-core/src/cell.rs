//! Storage for numbers that many threads write and a scrape reads. It is independent of names, labels and the
//! `prometheus` crate.
//!
//! A series is a [`Handle`]: a generation, and a slot of a few 64-bit words at the same position in every thread's
//! pages. Counters, summaries and histograms are updated with relaxed loads and release stores of per-thread words
//! ([`thread_block`]). No thread writes the words of another thread with dedicated cells. A scrape adds up the words of
//! all threads in a fixed order ([`store`]). A gauge needs its `set` and `add` calls to be ordered, so all threads
//! share its slot ([`gauge`]).
//!
//! The first word of a thread's cell is the handle that the cell was last written for. A write compares its handle with
//! that word, which is on a cache line that the write needs anyway. If the handles differ, the cold path checks whether
//! the new handle is live, and either resets the cell to zero or drops the write. Therefore, removing a series requires
//! no per-thread work, and a stale handle never writes to the series that reuses its slot.
//!
//! Everything except [`thread_locals`], [`sync`] and [`gauge`] is also compiled into `tests/models`, where Loom
//! explores every interleaving with at most two or three preemptions.

pub(crate) mod access;
mod block;
mod bound_lookup;
pub(crate) mod buckets;
pub(crate) mod chunks;
pub(crate) mod counter;
mod counts;
pub(crate) mod distribution;
pub(crate) mod distribution_reader;
pub(crate) mod exponential;
pub(crate) mod gauge;
mod gauge_slot;
mod generations;
pub(crate) mod handle;
pub(crate) mod histogram;
mod lanes;
pub(crate) mod native;
mod shared_blocks;
mod store;
pub(crate) mod summary;
pub(crate) mod sync;
mod thread_block;
mod thread_locals;
pub(crate) mod varint;
pub(crate) mod window;

pub(crate) use buckets::Buckets;
use buckets::{Exponential, Observe};
pub(crate) use handle::Handle;
pub(crate) use store::{CACHE_ENTRY_WORDS, CacheSet};
#[cfg(feature = "testing")]
pub(crate) use thread_locals::reading_own_block;
pub(crate) use thread_locals::reads_all_blocks;
use thread_locals::with_pages;

/// Allocates a summary or histogram at 0; `None` if no slot is free. A plain summary has no buckets.
pub(crate) fn allocate(buckets: Option<&'static Buckets>) -> Option<Handle> {
    match buckets.map(|buckets| (buckets, &buckets.exponential)) {
        None => summary::allocate(),
        Some((buckets, None)) => histogram::allocate(buckets),
        Some((buckets, Some(exponential))) => distribution::allocate(buckets, exponential),
    }
}

/// Ends the series of a summary or histogram.
pub(crate) fn free(handle: Handle, buckets: Option<&'static Buckets>) {
    match buckets.map(|buckets| (buckets, &buckets.exponential)) {
        None => access::free(handle, summary::WORDS),
        Some((buckets, None)) => histogram::free(handle, buckets),
        Some((buckets, Some(_))) => distribution::free(handle, buckets),
    }
}

/// Creates buckets with these bounds, which must be finite and strictly increasing.
pub(crate) fn new_buckets(bounds: Vec<f64>, exponential: Option<Exponential>) -> Buckets {
    let observe = match &exponential {
        Some(exponential) => distribution::observe_in(exponential, bounds.len()),
        None => histogram::observe as Observe,
    };
    Buckets::new(bounds, exponential, observe)
}

/// Adds one observation to a summary or histogram.
#[inline]
pub(crate) fn observe(handle: Handle, buckets: Option<&'static Buckets>, value: f64) {
    match buckets {
        None => summary::observe(handle, value),
        Some(buckets) => with_pages(|pages| (buckets.observe)(pages, handle, buckets, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_reused_slot_can_be_read_as_buckets() {
        let cell: [sync::AtomicU64; 6] = std::array::from_fn(|at| sync::AtomicU64::new([0, 0, 0, 0, !0, !0][at]));
        let mut buckets = [1; 2];
        assert_eq!(histogram::read_cell(&cell, &mut buckets), 0.0);
        assert_eq!(buckets, [0, 0], "truncated to the count");
    }
}

//! A count and a sum that are always read as a consistent pair.
//!
//! The sum has two words: one for even counts and one for odd counts. A writer stores the new sum into the word that
//! the current count does not use, then the new count. A reader loads the count, the sum that belongs to it, and the
//! count again. Readers never wait for a preempted writer: between its two stores, the old pair is still valid.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::access::{self, holds};
use super::buckets::HEADER;
use super::handle::Handle;
use super::sync::AtomicU64;

/// The number of words in a cell: generation, count, sum at even counts, sum at odd counts.
pub(crate) const WORDS: usize = HEADER;

/// The count and sum of a summary.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Total {
    pub(crate) count: u64,
    pub(crate) sum: f64,
}

/// Allocates a summary at 0; `None` if no slot is free.
pub(crate) fn allocate() -> Option<Handle> {
    access::allocate(WORDS)
}

/// Adds one observation.
#[inline]
pub(crate) fn observe(handle: Handle, value: f64) {
    if !try_observe(handle, value) {
        observe_slowly(handle, value);
    }
}

/// Like [`observe`], but returns false if the thread has not cached the cell.
#[inline]
pub(crate) fn try_observe(handle: Handle, value: f64) -> bool {
    let cell = access::cached(handle);
    if let Some(cell) = cell {
        record(cell, value, || {});
    }
    cell.is_some()
}

#[cold]
#[inline(never)]
fn observe_slowly(handle: Handle, value: f64) {
    access::with_any::<WORDS>(handle, &|cell| record(cell, value, || {}));
}

/// Stores the new sum, then the bucket, then the new count, as readers expect. `count_in_bucket` adds 1 to the bucket
/// that contains the value.
#[inline]
pub(super) fn record(cell: &[AtomicU64; WORDS], value: f64, count_in_bucket: impl FnOnce()) {
    let n = cell[1].load(Relaxed);
    let odd = usize::from(n % 2 == 1);
    let sum = f64::from_bits(cell[2 + odd].load(Relaxed)) + value;
    cell[2 + (odd ^ 1)].store(sum.to_bits(), Release);
    count_in_bucket();
    cell[1].store(n + 1, Release);
}

/// Adds 1 to a bucket.
#[inline]
pub(super) fn add_one(bucket: &AtomicU64) {
    bucket.store(bucket.load(Relaxed) + 1, Release);
}

/// Returns the count and sum across all threads.
#[cfg(test)]
#[allow(dead_code, reason = "only the models use it")]
pub(crate) fn read(handle: Handle) -> Total {
    access::total(handle, Total::add)
}

/// Reads the counts and sums of many summaries, in the order of `handles`.
pub(crate) fn read_all(handles: &[Handle], totals: &mut Vec<Total>) {
    access::totals(handles, totals, Total::add);
}

impl Total {
    #[inline]
    fn add(&mut self, cell: &[AtomicU64; WORDS], handle: Handle) {
        let (count, sum) = read_pair(cell);
        if holds(cell, handle) {
            self.count += count;
            self.sum += sum;
        }
    }
}

/// Reads a consistent count and sum from one cell.
#[inline]
pub(super) fn read_pair(cell: &[AtomicU64]) -> (u64, f64) {
    let mut n = cell[1].load(Acquire);
    loop {
        let sum = cell[2 + usize::from(n % 2 == 1)].load(Acquire);
        let again = cell[1].load(Acquire);
        // The word that holds the sum for `n` is overwritten only after the count has passed `n`.
        if again == n {
            return (n, f64::from_bits(sum));
        }
        n = again;
    }
}

//! Counts per bucket and a sum that is consistent with them. A cell begins with the same words as a summary cell.
//!
//! As in [`super::summary`], the sum has one word for even and one for odd counts. A writer stores the new sum, then
//! the bucket, then the count. A reader loads the count before and after the buckets. If the count is unchanged, the
//! total of the buckets determines which of the two sums belongs to them, even if the writer was preempted halfway. If
//! the count changes on 1,000 consecutive attempts, the reader loads a consistent count and sum, then reads the buckets
//! and truncates them to that count. A few observations may then appear in a lower bucket until the next scrape.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::access::{self, holds};
use super::buckets::Buckets;
use super::handle::Handle;
use super::summary::read_pair;
use super::sync::{AtomicU64, CONSISTENT_READ_ATTEMPTS};

/// The number of words before the buckets: generation, count, sum at even counts, sum at odd counts. The `+Inf`
/// bucket is last.
const HEADER: usize = 4;

fn words(buckets: &Buckets) -> usize {
    HEADER + buckets.bounds.len() + 1
}

/// Allocates a histogram at 0; `None` if no slot is free.
pub(crate) fn allocate(buckets: &Buckets) -> Option<Handle> {
    access::allocate(words(buckets))
}

/// Ends a histogram's series and makes its slot available to another series.
pub(crate) fn free(handle: Handle, buckets: &Buckets) {
    access::free(handle, words(buckets));
}

/// Adds an observation to the first bucket whose upper bound is not less than `value`.
#[inline]
pub(crate) fn observe(handle: Handle, buckets: &Buckets, value: f64) {
    let bucket = HEADER + buckets.bounds.partition_point(|bound| *bound < value);
    access::with_slice(handle, words(buckets), |cell| {
        let n = cell[1].load(Relaxed);
        let (now, next) = (sum_word(n), sum_word(n + 1));
        let sum = f64::from_bits(cell[now].load(Relaxed)) + value;
        cell[next].store(sum.to_bits(), Release);
        cell[bucket].store(cell[bucket].load(Relaxed) + 1, Release);
        cell[1].store(n + 1, Release);
    });
}

/// The sums and bucket counts of several histograms with the same bounds.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) sums: Vec<f64>,
    /// The non-cumulative bucket counts, one histogram after another, each ending with `+Inf`.
    pub(crate) counts: Vec<u64>,
    /// Scratch space for the bucket counts of one cell.
    own: Vec<u64>,
}

/// Reads many histograms into `totals`, in the order of `handles`.
pub(crate) fn read_all(handles: &[Handle], buckets: &Buckets, totals: &mut Totals) {
    let Totals { sums, counts, own } = totals;
    let len = buckets.bounds.len() + 1;
    sums.clear();
    sums.resize(handles.len(), 0.0);
    counts.clear();
    counts.resize(handles.len() * len, 0);
    own.resize(len, 0);
    access::each_cell(handles, words(buckets), |position, cell| {
        let sum = read_cell(cell, own);
        if holds(cell, handles[position]) {
            sums[position] += sum;
            let counts = &mut counts[position * len..][..len];
            counts.iter_mut().zip(&*own).for_each(|(total, own)| *total += own);
        }
    });
}

/// The index of the word that holds the sum for this count.
fn sum_word(count: u64) -> usize {
    2 + usize::from(count % 2 == 1)
}

fn read_cell(cell: &[AtomicU64], buckets: &mut [u64]) -> f64 {
    let mut n = cell[1].load(Acquire);
    for _ in 0..CONSISTENT_READ_ATTEMPTS {
        let mut total = 0;
        for (bucket, word) in buckets.iter_mut().zip(&cell[HEADER..]) {
            *bucket = word.load(Acquire);
            total += *bucket;
        }
        let sum = cell[sum_word(total)].load(Acquire);
        // Acquire, because this may also be the first count of the next attempt.
        let again = cell[1].load(Acquire);
        // `total` is `n`, or `n + 1` if the writer has stored the bucket but not yet the count.
        if again == n && total.wrapping_sub(n) <= 1 {
            return f64::from_bits(sum);
        }
        n = again;
    }
    // The cell is written continuously: load a consistent count and sum, then truncate the buckets to that count.
    let (mut rest, sum) = read_pair(cell);
    for (bucket, word) in buckets.iter_mut().zip(&cell[HEADER..]) {
        *bucket = word.load(Acquire).min(rest);
        rest -= *bucket;
    }
    sum
}

//! Counts per bucket and a sum that is consistent with them. A cell begins with the same words as a summary cell.
//!
//! As in [`super::summary`], the sum has one word for even and one for odd counts. A writer stores the new sum, then
//! the bucket, then the count. A reader loads the count before and after the buckets. If the count is unchanged, the
//! total of the buckets determines which of the two sums belongs to them, even if the writer was preempted halfway. If
//! the count changes on 1,000 consecutive attempts, the reader loads a consistent count and sum, then reads the buckets
//! and truncates them to that count. A few observations may then appear in a lower bucket until the next scrape.

use std::sync::atomic::Ordering::Acquire;

use super::access::{self, holds};
use super::buckets::{Buckets, HEADER};
use super::handle::Handle;
use super::summary::{add_one, read_pair, record};
use super::sync::{AtomicU64, CONSISTENT_READ_ATTEMPTS};
use super::thread_block::Pages;

/// Allocates a histogram at 0; `None` if no slot is free.
pub(crate) fn allocate(buckets: &Buckets) -> Option<Handle> {
    access::allocate(buckets.words())
}

/// Ends a histogram's series and makes its slot available to another series.
pub(crate) fn free(handle: Handle, buckets: &Buckets) {
    access::free(handle, buckets.words());
}

/// Adds an observation to the first bucket whose upper bound is not less than `value`.
pub(super) fn observe(pages: &Pages, handle: Handle, buckets: &'static Buckets, value: f64) {
    let bucket = HEADER + buckets.classic_of(value);
    if let Some(header) = pages.cell(handle)
        && let Some(bucket) = pages.from(handle).get(bucket)
    {
        record(header, value, || add_one(bucket));
    } else {
        access::with_slice(handle, buckets.words(), |cell| {
            if let Some(header) = cell.first_chunk() {
                record(header, value, || add_one(&cell[bucket]));
            }
        });
    }
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
    let len = buckets.classic();
    sums.clear();
    sums.resize(handles.len(), 0.0);
    counts.clear();
    counts.resize(handles.len() * len, 0);
    own.resize(len, 0);
    access::each_cell(handles, buckets.words(), |position, cell| {
        let sum = read_cell(cell, own);
        if holds(cell, handles[position]) {
            sums[position] += sum;
            let counts = &mut counts[position * len..][..len];
            counts.iter_mut().zip(&*own).for_each(|(total, own)| *total += own);
        }
    });
}

/// The index of the word that holds the sum for this count.
pub(super) fn sum_word(count: u64) -> usize {
    2 + usize::from(count % 2 == 1)
}

pub(super) fn read_cell(cell: &[AtomicU64], buckets: &mut [u64]) -> f64 {
    let mut n = cell[1].load(Acquire);
    for _ in 0..CONSISTENT_READ_ATTEMPTS {
        let mut total = 0;
        for (bucket, word) in buckets.iter_mut().zip(&cell[HEADER..]) {
            *bucket = word.load(Acquire);
            // The slot may already belong to a series whose words are not counts. The caller checks that afterwards.
            total = bucket.wrapping_add(total);
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

//! A count that only goes up. Whole and fractional amounts are stored in separate words, so that whole counts stay
//! exact beyond 2^53.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::access::{self, holds};
use super::handle::Handle;
use super::sync::AtomicU64;

/// The length of a cell in words: generation, whole part, fractional part.
pub(crate) const WORDS: usize = 3;

/// The total of a counter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Total {
    pub(crate) whole: u64,
    pub(crate) fraction: f64,
}

/// Allocates a counter at 0, or returns `None` if no slot is free.
pub(crate) fn allocate() -> Option<Handle> {
    access::allocate(WORDS)
}

/// Adds a whole amount. The count saturates at `u64::MAX`.
#[inline]
pub(crate) fn add_whole(handle: Handle, amount: u64) {
    match access::cached_in_loop(handle) {
        Some(cell) => add_to_whole(cell, amount),
        None => add_whole_slowly(handle, amount),
    }
}

#[cold]
#[inline(never)]
fn add_whole_slowly(handle: Handle, amount: u64) {
    access::with_any::<WORDS>(handle, &|cell| add_to_whole(cell, amount));
}

#[inline]
fn add_to_whole([_, whole, _]: &[AtomicU64; WORDS], amount: u64) {
    whole.store(whole.load(Relaxed).saturating_add(amount), Release);
}

/// Adds an amount, which must be finite and not negative.
#[inline]
pub(crate) fn add_fraction(handle: Handle, amount: f64) {
    match access::cached_in_loop(handle) {
        Some(cell) => add_to_fraction(cell, amount),
        None => add_fraction_slowly(handle, amount),
    }
}

#[cold]
#[inline(never)]
fn add_fraction_slowly(handle: Handle, amount: f64) {
    access::with_any::<WORDS>(handle, &|cell| add_to_fraction(cell, amount));
}

#[inline]
fn add_to_fraction([_, _, fraction]: &[AtomicU64; WORDS], amount: f64) {
    let sum = f64::from_bits(fraction.load(Relaxed)) + amount;
    fraction.store(sum.to_bits(), Release);
}

/// Returns the counter's total across all threads.
pub(crate) fn read(handle: Handle) -> Total {
    access::total(handle, Total::add)
}

/// Reads the totals of many counters, in the order of `handles`.
pub(crate) fn read_all(handles: &[Handle], totals: &mut Vec<Total>) {
    access::totals(handles, totals, Total::add);
}

impl Total {
    #[inline]
    fn add(&mut self, cell: &[AtomicU64; WORDS], handle: Handle) {
        let (whole, fraction) = (cell[1].load(Acquire), cell[2].load(Acquire));
        if holds(cell, handle) {
            self.whole = self.whole.saturating_add(whole);
            self.fraction += f64::from_bits(fraction);
        }
    }
}

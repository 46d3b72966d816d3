//! Numbers that many threads write and a scrape reads; knows no names, no labels and no `prometheus`.
//!
//! A series is a [`Handle`]: a place of a few 64-bit words, the same in the pages of every thread, and a generation.
//! Counters, summaries and histograms are written by plain loads and stores to the writing thread's own words
//! ([`block`]), and read by adding up the words of all threads in an order that never changes. Gauges need an order
//! between `set` and `add`, and so share one place ([`gauge`]).

pub(crate) mod block;
pub(crate) mod counter;
pub(crate) mod gauge;
pub(crate) mod histogram;
pub(crate) mod slot;
pub(crate) mod summary;

pub(crate) use slot::Handle;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`; a panic of another holder does not matter, since no holder leaves the data half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

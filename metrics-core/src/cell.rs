//! Numbers that many threads write and a scrape reads; knows no names, no labels and no `prometheus`.
//!
//! A series is a [`Handle`]: a slot of a few 64-bit words, the same in the pages of every thread, and a generation.
//! Counters, summaries and histograms are written by plain loads and stores to the writing thread's own words
//! ([`thread_block`]), and read by adding up the words of all threads in an order that never changes ([`store`]). Gauges need an
//! order between `set` and `add`, and so share one slot ([`gauge`]).
//!
//! All but [`thread_locals`], [`sync`] and [`gauge`] is compiled into `tests/models` too, where Loom runs it in every order there is.

pub(crate) mod access;
pub(crate) mod counter;
pub(crate) mod gauge;
pub(crate) mod handle;
pub(crate) mod histogram;
mod store;
pub(crate) mod summary;
pub(crate) mod sync;
mod thread_block;
mod thread_locals;

pub(crate) use handle::Handle;

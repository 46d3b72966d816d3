//! Numbers that many threads write and a scrape reads; knows no names, no labels and no `prometheus`.
//!
//! A series is a [`Handle`]: a place of a few 64-bit words, the same in the pages of every thread, and a generation.
//! Counters, summaries and histograms are written by plain loads and stores to the writing thread's own words
//! ([`own`]), and read by adding up the words of all threads in an order that never changes ([`store`]). Gauges need an
//! order between `set` and `add`, and so share one place ([`gauge`]).
//!
//! All but [`statics`], [`sync`] and [`gauge`] is compiled into `tests/models` too, where Loom runs it in every order there is.

pub(crate) mod counter;
pub(crate) mod gauge;
pub(crate) mod histogram;
mod own;
pub(crate) mod process;
pub(crate) mod slot;
mod statics;
mod store;
pub(crate) mod summary;
pub(crate) mod sync;

pub(crate) use slot::Handle;
pub(crate) use sync::lock;

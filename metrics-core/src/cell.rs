//! Numbers that many threads write and a scrape reads. Nothing here knows about names, labels or the `prometheus`
//! crate.
//!
//! A series is a [`Handle`]: a slot of a few 64-bit words, at the same position in the pages of every thread, and a
//! generation. Counters, summaries and histograms are written by relaxed loads and release stores to the writing
//! thread's own words ([`thread_block`]); no thread writes words of another. A scrape adds up the words of all threads
//! in an order that never changes ([`store`]). A gauge needs an order between `set` and `add`, so all threads share its
//! slot ([`gauge`]).
//!
//! A thread's cell begins with the handle that it was last written for. A write compares it, on the cache line that it
//! needs anyway; if it differs, the cold path asks whether the handle is live, and starts the cell at zero or drops the
//! write. So removing a series costs nothing per thread, and an old handle never writes into the series that took its
//! slot.
//!
//! Everything except [`thread_locals`], [`sync`] and [`gauge`] is also compiled into `tests/models`, where Loom runs it
//! in every order of up to three preemptions.

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

//! The module tree that the `metrics-core` source files expect.

#[path = "../../../metrics-core/src/cell/access.rs"]
pub(crate) mod access;
#[path = "../../../metrics-core/src/cell/block.rs"]
mod block;
#[path = "../../../metrics-core/src/cell/bound_lookup.rs"]
mod bound_lookup;
#[path = "../../../metrics-core/src/cell/buckets.rs"]
pub(crate) mod buckets;
#[path = "../../../metrics-core/src/cell/chunks.rs"]
mod chunks;
#[path = "../../../metrics-core/src/cell/counter.rs"]
pub(crate) mod counter;
#[path = "../../../metrics-core/src/cell/counts.rs"]
mod counts;
#[path = "../../../metrics-core/src/cell/distribution.rs"]
pub(crate) mod distribution;
#[path = "../../../metrics-core/src/cell/distribution_reader.rs"]
pub(crate) mod distribution_reader;
#[path = "../../../metrics-core/src/cell/exponential.rs"]
mod exponential;
#[path = "../../../metrics-core/src/cell/gauge_slot.rs"]
pub(crate) mod gauge_slot;
#[path = "../../../metrics-core/src/cell/generations.rs"]
mod generations;
#[path = "../../../metrics-core/src/cell/handle.rs"]
pub(crate) mod handle;
#[path = "../../../metrics-core/src/cell/histogram.rs"]
pub(crate) mod histogram;
#[path = "../../../metrics-core/src/cell/lanes.rs"]
mod lanes;
#[path = "../../../metrics-core/src/cell/native.rs"]
mod native;
#[path = "../../../metrics-core/src/cell/shared_blocks.rs"]
mod shared_blocks;
#[path = "../../../metrics-core/src/cell/store.rs"]
mod store;
#[path = "../../../metrics-core/src/cell/summary.rs"]
pub(crate) mod summary;
#[path = "sync.rs"]
pub(crate) mod sync;
#[path = "../../../metrics-core/src/cell/thread_block.rs"]
mod thread_block;
#[path = "thread_locals.rs"]
mod thread_locals;
#[path = "../../../metrics-core/src/cell/varint.rs"]
mod varint;
#[path = "../../../metrics-core/src/cell/window.rs"]
mod window;

pub(crate) use buckets::Buckets;
pub(crate) use handle::Handle;
pub(crate) use store::{CACHE_ENTRY_WORDS, CacheSet};

/// Creates buckets as `metrics-core` does.
pub(crate) fn new_buckets(bounds: Vec<f64>, exponential: Option<buckets::Exponential>) -> Buckets {
    let observe = match &exponential {
        Some(exponential) => distribution::observe_in(exponential, bounds.len()),
        None => histogram::observe,
    };
    Buckets::new(bounds, exponential, observe)
}

/// Adds one observation to a series with buckets.
pub(crate) fn observe(handle: Handle, buckets: &'static Buckets, value: f64) {
    thread_locals::with_pages(|pages| (buckets.observe)(pages, handle, buckets, value));
}

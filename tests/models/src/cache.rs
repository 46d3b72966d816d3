//! The module tree that the lookups of `metrics-core` expect.

use crate::cell::{CacheSet, Handle};

#[path = "../../../metrics-core/src/cache/fixed.rs"]
mod fixed;
#[path = "../../../metrics-core/src/cache/fixed_series.rs"]
mod fixed_series;

#[path = "../../../metrics-core/src/family/full_filter.rs"]
mod full_filter;
#[path = "../../../metrics-core/src/cache/set_associative.rs"]
#[expect(dead_code, reason = "the models use one kind of lookup")]
mod set_associative;

pub(crate) use fixed::{get, set};

pub(crate) use fixed_series::FixedSeries;
pub(crate) use full_filter::FullFilter;

/// Identifies the owner of a cache entry.
pub(crate) struct CacheId {
    pub(crate) index: usize,
}

/// Returns the handle that a thread's first level holds for this value.
pub(crate) fn find_one(sets: &[CacheSet], id: &CacheId, epoch: u64, value: &str) -> Option<Handle> {
    let entry = set_associative::find_one(sets, id, epoch, value.as_bytes())?;
    let [handle] = set_associative::handles(entry);
    Some(handle)
}

/// Caches the handle for this value.
pub(crate) fn insert_one(sets: &[CacheSet], id: &CacheId, epoch: u64, value: &str, handle: Handle) {
    set_associative::insert(sets, id, epoch, &[], &[value], &[handle], 0);
}

//! The module tree in which the files of `metrics-core` expect to stand.

#[path = "../../../metrics-core/src/cell/counter.rs"]
pub(crate) mod counter;
#[path = "../../../metrics-core/src/cell/histogram.rs"]
pub(crate) mod histogram;
#[path = "../../../metrics-core/src/cell/own.rs"]
mod own;
#[path = "../../../metrics-core/src/cell/process.rs"]
pub(crate) mod process;
#[path = "../../../metrics-core/src/cell/slot.rs"]
pub(crate) mod slot;
#[path = "statics.rs"]
mod statics;
#[path = "../../../metrics-core/src/cell/store.rs"]
mod store;
#[path = "../../../metrics-core/src/cell/summary.rs"]
pub(crate) mod summary;
#[path = "sync.rs"]
pub(crate) mod sync;

pub(crate) use slot::Handle;

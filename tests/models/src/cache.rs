//! The module tree that the lookup cache of `metrics-core` expects.

#[path = "../../../metrics-core/src/cache/fixed.rs"]
mod fixed;

pub(crate) use fixed::{get, set};

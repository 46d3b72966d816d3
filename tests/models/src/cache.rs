//! The same for look-ups.

#[path = "../../../metrics-core/src/cache/fixed.rs"]
mod fixed;

pub(crate) use fixed::{get, set};

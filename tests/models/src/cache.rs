//! The module tree that the lookup cache of `metrics-core` expects.

#[path = "../../../metrics-core/src/cache/fixed.rs"]
mod fixed;
#[path = "../../../metrics-core/src/cache/fixed_series.rs"]
mod fixed_series;

pub(crate) use fixed::{get, set};
pub(crate) use fixed_series::FixedSeries;

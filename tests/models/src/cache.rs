//! The module tree that the lookups of `metrics-core` expect.

#[path = "../../../metrics-core/src/cache/fixed.rs"]
mod fixed;
#[path = "../../../metrics-core/src/cache/fixed_series.rs"]
mod fixed_series;

pub(crate) use fixed::{get, set};
#[path = "../../../metrics-core/src/family/full_filter.rs"]
mod full_filter;

pub(crate) use fixed_series::FixedSeries;
pub(crate) use full_filter::FullFilter;

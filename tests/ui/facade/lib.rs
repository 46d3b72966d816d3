//! Re-exports metrics-core.

pub use metrics_core as metrics;

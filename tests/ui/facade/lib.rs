//! Re-exports `metrics-core` under another name.

pub use metrics_core as metrics;

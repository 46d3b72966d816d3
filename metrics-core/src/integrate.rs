//! Adapters for web frameworks: a layer that measures every route, and a service or handler that exposes metrics.
//!
//! The adapters use only the public API, the framework-independent exposition (`export::http`), `label_text`, and
//! `internal` and `logging` to guard user code. The `layers` test checks this.

#[cfg(feature = "actix")]
pub mod actix;
#[cfg(feature = "axum")]
mod axum;
mod families;
mod measured;
mod placement;
mod recording;
mod requests;
#[cfg(feature = "tower")]
pub mod tower;

pub use requests::{RequestMetrics, RequestMetricsBuilder};

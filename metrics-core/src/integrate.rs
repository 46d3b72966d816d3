//! Adapters for web frameworks: a layer that measures every route, and a service or handler that exposes metrics.
//!
//! They use the public interface, the exposition without a framework's types (`export::http`) and `label_text`, and
//! nothing else of the crate; the test `layers` checks this.

#[cfg(feature = "actix")]
pub mod actix;
#[cfg(feature = "axum")]
mod axum;
mod measured;
mod recording;
mod requests;
#[cfg(feature = "tower")]
pub mod tower;

pub use requests::{RequestMetrics, RequestMetricsBuilder};

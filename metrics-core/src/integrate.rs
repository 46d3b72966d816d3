//! Adapters for web frameworks, on the public interface only: what measures all their routes, and what exposes metrics.

#[cfg(feature = "actix")]
pub mod actix;
#[cfg(feature = "axum")]
mod axum;
mod recording;
mod requests;
#[cfg(feature = "tower")]
pub mod tower;

pub use requests::{RequestMetrics, RequestMetricsBuilder};

//! The buckets of a metric, which all its series share.

/// The buckets in which observations are counted.
#[derive(Debug, PartialEq)]
pub struct Buckets {
    /// The upper bounds, excluding `+Inf`.
    pub(crate) bounds: Vec<f64>,
}

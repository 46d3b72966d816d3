//! The series of one call, one for each role.

use crate::call::declaration::label_source::{MAX_LABELS, Role};
use crate::cell::Handle;

/// The series of one call, by [`Role`].
pub(crate) type Handles = [Handle; Role::COUNT];

/// The series that one call feeds.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) handles: Handles,
    /// Upper bounds of the latency's buckets; none for a summary.
    pub(crate) bounds: &'static [f64],
}

impl Series {
    pub(crate) const NONE: Self = Self { handles: [Handle::NONE; Role::COUNT], bounds: &[] };
}

/// Values of all labels of a site, in the order of the attribute.
pub(crate) type Values<'v> = [&'v str; MAX_LABELS];

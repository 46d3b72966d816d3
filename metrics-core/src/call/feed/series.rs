//! The series of one call, one for each role.

use crate::call::declaration::label_source::{MAX_LABELS, Role};
use crate::cell::{Buckets, Handle};

/// The handles to one call's series, indexed by [`Role`].
pub(crate) type Handles = [Handle; Role::COUNT];

/// The series that one call records into.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) handles: Handles,
    /// The buckets of the latency; `None` for a plain summary.
    pub(crate) buckets: Option<&'static Buckets>,
}

impl Series {
    pub(crate) const NONE: Self = Self { handles: [Handle::NONE; Role::COUNT], buckets: None };
}

/// The label values of one call, padded with empty strings.
pub(crate) type Values<'v> = [&'v str; MAX_LABELS];

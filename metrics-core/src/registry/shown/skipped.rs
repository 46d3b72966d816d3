//! Families that a scrape skips, and the reason for each.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Owner};

/// A family that a scrape skips.
pub(crate) struct SkippedFamily {
    pub(crate) name: String,
    /// The collector that showed it.
    pub(crate) by: String,
    pub(crate) reason: Arc<SkipReason>,
}

/// Why a scrape skips a family.
pub(crate) enum SkipReason {
    /// Its name, or a sample name, belongs to something else.
    Taken(Owner),
    /// Another collector has shown a family of this name that has another type or comes from another crate.
    Mixed,
    /// A name in it is invalid.
    Invalid(Error),
    /// Two of its series have the same labels.
    Repeated,
    /// A value is not of its type.
    Mistyped,
}

impl From<Error> for SkipReason {
    fn from(error: Error) -> Self {
        Self::Invalid(error)
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(by) => write!(f, "its name belongs to {by}"),
            Self::Mixed => f.write_str("another family of its name, which it does not go with, is shown"),
            Self::Invalid(error) => error.fmt(f),
            Self::Repeated => f.write_str("two of its series have the same labels"),
            Self::Mistyped => f.write_str("a value is not of its type"),
        }
    }
}

impl fmt::Display for SkippedFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, by, reason } = self;
        write!(f, "{name} of {by} is skipped: {reason}")
    }
}

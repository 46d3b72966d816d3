//! Families that a scrape skips, and the reason for each.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Owner};

/// A family that a scrape skips.
pub(crate) struct SkippedFamily {
    pub(crate) name: String,
    /// The name of the collector that reported the family.
    pub(crate) by: String,
    pub(crate) reason: Arc<SkipReason>,
}

/// The reason why a scrape skips a family.
pub(crate) enum SkipReason {
    /// The name of the family, or of one of its samples, is already taken.
    Taken(Owner),
    /// Another reported family has the same name but cannot be merged with this one, because their types differ or
    /// because at least one of them is not from the `prometheus` crate.
    Mixed,
    /// The family's name or one of its label names is invalid.
    Invalid(Error),
    /// Two series of the family have the same labels.
    Repeated,
    /// A value does not match the family's type.
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
            Self::Mixed => f.write_str("it cannot be merged with another reported family of the same name"),
            Self::Invalid(error) => error.fmt(f),
            Self::Repeated => f.write_str("two of its series have the same labels"),
            Self::Mistyped => f.write_str("a value does not match its type"),
        }
    }
}

impl fmt::Display for SkippedFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, by, reason } = self;
        write!(f, "skipped {name} from {by}: {reason}")
    }
}

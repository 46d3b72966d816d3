//! The roles that a function's families can have, and the sources of its label values.

use crate::label_value::{Label, LabelValue};

/// The maximum number of labels on an annotated function.
pub(crate) const MAX_LABELS: usize = 8;

/// The aspect of a call that a family records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Latency,
    Exceptions,
    Cancelled,
    InFlight,
}

impl Role {
    pub(crate) const COUNT: usize = 4;
    pub(crate) const ALL: [Self; Self::COUNT] = [Self::Latency, Self::Exceptions, Self::Cancelled, Self::InFlight];

    /// Returns the name of the option that sets the family for this role.
    pub(crate) fn option(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Exceptions => "exceptions",
            Self::Cancelled => "cancelled",
            Self::InFlight => "in_flight",
        }
    }
}

/// The list of values after `in`.
#[derive(Clone, Copy)]
pub(crate) struct LabelList {
    pub(crate) values: fn() -> Vec<String>,
    /// True if values that are not in the list are recorded as `other`.
    pub(crate) closed: bool,
}

/// The source of a label's values, with the list of known values, if any.
#[derive(Clone, Copy)]
pub(crate) enum LabelSource {
    Fixed(&'static str),
    /// From the arguments, when the call begins.
    Call(Option<LabelList>),
    /// From the return value of the function.
    Result(Option<LabelList>),
    /// From the error that the function returns.
    Kind(Option<LabelList>),
}

impl LabelSource {
    pub(crate) fn list(self) -> Option<LabelList> {
        match self {
            Self::Fixed(_) => None,
            Self::Call(list) | Self::Result(list) | Self::Kind(list) => list,
        }
    }

    /// Returns true if the value is known only when the call ends.
    pub(crate) fn is_late(self) -> bool {
        matches!(self, Self::Result(_) | Self::Kind(_))
    }

    /// Returns true if a family for `role` must have the label. The default family has only these labels.
    pub(crate) fn belongs_to(self, role: Role) -> bool {
        match self {
            Self::Fixed(_) | Self::Call(_) => true,
            Self::Result(_) => matches!(role, Role::Latency | Role::Exceptions),
            Self::Kind(_) => role == Role::Exceptions,
        }
    }

    /// Returns true if a family for `role` may have the label.
    pub(crate) fn may_be_of(self, role: Role) -> bool {
        self.belongs_to(role) || matches!((self, role), (Self::Result(_), Role::Cancelled))
    }
}

/// Converts `value` to a label value.
#[inline]
pub fn label<T: LabelValue + ?Sized>(value: &T) -> Label<'_> {
    value.label()
}

/// Converts the values after `in` to strings.
pub fn values<I>(values: I) -> Vec<String>
where
    I: IntoIterator,
    I::Item: LabelValue,
{
    values.into_iter().map(|value| value.label().as_str().to_owned()).collect()
}

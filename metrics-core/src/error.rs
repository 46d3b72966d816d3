//! Errors that can occur when declaring and registering metrics.

use std::fmt;
use std::panic::Location;

/// Why a metric could not be registered.
///
/// Nothing is changed where this is returned: what was registered before stays as it was.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The metric's name does not match `[a-zA-Z_:][a-zA-Z0-9_:]*`.
    InvalidName {
        /// The name as given.
        name: String,
    },
    /// A label's name does not match `[a-zA-Z_][a-zA-Z0-9_]*`.
    InvalidLabelName {
        /// The metric.
        metric: String,
        /// The label's name as given.
        label: String,
    },
    /// A label's name is reserved: `__*` always, `le` on histograms, `quantile` on summaries.
    ReservedLabelName {
        /// The metric.
        metric: String,
        /// The label's name.
        label: String,
    },
    /// Two labels, constant ones and the registry's included, have one name.
    DuplicateLabelName {
        /// The metric.
        metric: String,
        /// The label's name.
        label: String,
    },
    /// Bucket bounds must be finite numbers, strictly increasing, at least one and at most 512; `+Inf` is implied.
    InvalidBuckets {
        /// The metric.
        metric: String,
        /// The bounds as given.
        bounds: Vec<f64>,
    },
    /// The values of all labels are closed sets, and their combinations are more than `max_series`.
    TooManySeries {
        /// The metric.
        metric: String,
        /// How many series it would have.
        combinations: usize,
        /// How many it may have.
        max_series: usize,
    },
    /// The name must end in the unit (before `_total`, for counters).
    InvalidUnit {
        /// The metric.
        metric: String,
        /// The unit as given.
        unit: String,
    },
    /// A family of this name is registered, and differs.
    Conflict {
        /// The name.
        name: String,
        /// In what it differs.
        field: Field,
        /// The registered value of the field.
        registered: String,
        /// The declaration of the registered family in the code.
        location: &'static Location<'static>,
        /// The value that this declaration has instead.
        given: String,
    },
    /// The name, or one of the sample names of its type, belongs to something else.
    NameTaken {
        /// The metric.
        name: String,
        /// The sample name that both have.
        sample: String,
        /// The owner of the sample name.
        owner: Owner,
    },
    /// A collector describes a name that belongs to something registered before.
    Collector {
        /// The first such name.
        name: String,
        /// The owner of the name.
        owner: Owner,
    },
}

/// The owner of a metric name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Owner {
    /// A family.
    Family {
        /// The family's name.
        name: String,
        /// Its declaration in the code; `None` for families of collectors and of the library itself.
        location: Option<&'static Location<'static>>,
    },
    /// A gauge or counter whose value a callback returns.
    Callback {
        /// The metric's name.
        name: String,
        /// Its declaration in the code.
        location: &'static Location<'static>,
    },
    /// A registered collector.
    Collector,
    /// Another field of the same derived struct.
    Field,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Family { name, location: None } => write!(f, "the family {name}"),
            Self::Family { name, location: Some(location) } => write!(f, "the family {name} at {}", Place(location)),
            Self::Callback { name, location } => write!(f, "the callback {name} at {}", Place(location)),
            Self::Collector => f.write_str("a registered collector"),
            Self::Field => f.write_str("another field of the struct"),
        }
    }
}

/// File and line of a location.
struct Place(&'static Location<'static>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.file(), self.0.line())
    }
}

/// A part of a family's declaration, named where two declarations differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// Counter, gauge, summary or histogram.
    Type,
    /// The names of the labels, in their order.
    LabelNames,
    /// Names and values of the constant labels.
    ConstLabels,
    /// The help text.
    Help,
    /// The unit.
    Unit,
    /// The upper bounds of the buckets.
    Buckets,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Type => "type",
            Self::LabelNames => "label names",
            Self::ConstLabels => "constant labels",
            Self::Help => "help",
            Self::Unit => "unit",
            Self::Buckets => "buckets",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidName { name } => {
                write!(f, "metric name {name:?} is invalid: write [a-zA-Z_:][a-zA-Z0-9_:]*")
            }
            Self::InvalidLabelName { metric, label } => {
                write!(f, "label name {label:?} of {metric} is invalid: write [a-zA-Z_][a-zA-Z0-9_]*")
            }
            Self::ReservedLabelName { metric, label } => {
                write!(f, "label name {label:?} of {metric} is reserved by Prometheus")
            }
            Self::DuplicateLabelName { metric, label } => {
                write!(f, "label name {label:?} of {metric} is given twice")
            }
            Self::InvalidBuckets { metric, bounds } => write!(
                f,
                "buckets {bounds:?} of {metric} are invalid: write 1 to 512 finite bounds, strictly increasing"
            ),
            Self::TooManySeries { metric, combinations, max_series } => write!(
                f,
                "the closed label sets of {metric} have {combinations} combinations, its max_series is {max_series}: raise it, or leave a label out"
            ),
            Self::InvalidUnit { metric, unit } => {
                write!(f, "{metric} has the unit {unit:?}, so its name must end in _{unit}")
            }
            Self::Conflict { name, field, registered, location, given } => write!(
                f,
                "{name} is registered with another {field}: {registered} at {}, {given} here",
                Place(location)
            ),
            Self::NameTaken { name, sample, owner } => {
                write!(f, "{name} would export {sample}, which belongs to {owner}")
            }
            Self::Collector { name, owner } => {
                write!(f, "the collector describes {name}, which belongs to {owner}")
            }
        }
    }
}

impl std::error::Error for Error {}

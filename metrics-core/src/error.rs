//! Errors that can occur when declaring and registering metrics.

use std::fmt;
use std::panic::Location;

/// An error that occurs when a metric or collector cannot be registered.
///
/// A function that returns this error has not changed the registry.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The metric's name does not match `[a-zA-Z_:][a-zA-Z0-9_:]*`.
    InvalidName {
        /// The invalid name.
        name: String,
    },
    /// A label name does not match `[a-zA-Z_][a-zA-Z0-9_]*`.
    InvalidLabelName {
        /// The name of the metric.
        metric: String,
        /// The invalid label name.
        label: String,
    },
    /// A label name is reserved: `__*` in all metrics, `le` in histograms, `quantile` in summaries.
    ReservedLabelName {
        /// The name of the metric.
        metric: String,
        /// The name of the label.
        label: String,
    },
    /// Two labels have the same name. This includes the constant labels of the metric and the registry.
    DuplicateLabelName {
        /// The name of the metric.
        metric: String,
        /// The name of the label.
        label: String,
    },
    /// The bucket bounds are invalid. There must be 1 to 512 finite, strictly increasing bounds; `+Inf` is implied.
    InvalidBuckets {
        /// The name of the metric.
        metric: String,
        /// The invalid bounds.
        bounds: Vec<f64>,
    },
    /// An option for quantiles or native buckets has an invalid value.
    InvalidOption {
        /// The name of the metric.
        metric: String,
        /// The name of the option, such as `quantiles`.
        option: &'static str,
        /// The invalid value.
        given: String,
        /// What to write instead.
        expected: &'static str,
    },
    /// Every label has a closed set of values, and together they have more combinations than `max_series` allows.
    TooManySeries {
        /// The name of the metric.
        metric: String,
        /// The number of combinations.
        combinations: usize,
        /// The maximum number of series.
        max_series: usize,
    },
    /// The metric's name does not end with its unit (for counters, before `_total`).
    InvalidUnit {
        /// The name of the metric.
        metric: String,
        /// The unit.
        unit: String,
    },
    /// A different family with the same name is already registered.
    Conflict {
        /// The name that both families share.
        name: String,
        /// The part of the declaration that differs.
        field: Field,
        /// The value of that part in the registered family.
        registered: String,
        /// The source location of the registered family's declaration.
        location: &'static Location<'static>,
        /// The value of that part in the rejected declaration.
        given: String,
    },
    /// The metric's name, or one of its sample names, is already taken.
    NameTaken {
        /// The name of the metric.
        name: String,
        /// The sample name that is taken.
        sample: String,
        /// The owner of the sample name.
        owner: Owner,
    },
    /// A collector describes a name that is already registered.
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
        /// The source location of its declaration; `None` for families that belong to a collector or to the library.
        location: Option<&'static Location<'static>>,
    },
    /// A gauge or counter whose value is computed by a callback.
    Callback {
        /// The metric's name.
        name: String,
        /// The source location of its declaration.
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

/// Displays the file and line of a location.
struct Place(&'static Location<'static>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.file(), self.0.line())
    }
}

/// A part of a family's declaration that can differ between two declarations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// The type, such as counter or histogram.
    Type,
    /// The states of a state set.
    States,
    /// The names of the labels, in order.
    LabelNames,
    /// The names and values of the constant labels.
    ConstLabels,
    /// The help text.
    Help,
    /// The unit.
    Unit,
    /// The upper bounds of the buckets.
    Buckets,
    /// The quantiles, with their relative error and window.
    Quantiles,
    /// The native buckets.
    NativeBuckets,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Type => "type",
            Self::States => "states",
            Self::LabelNames => "label names",
            Self::ConstLabels => "constant labels",
            Self::Help => "help",
            Self::Unit => "unit",
            Self::Buckets => "buckets",
            Self::Quantiles => "quantiles",
            Self::NativeBuckets => "native buckets",
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
                write!(f, "label name {label:?} of {metric} is reserved by Prometheus: choose another name")
            }
            Self::DuplicateLabelName { metric, label } => {
                write!(f, "label name {label:?} of {metric} is given twice: remove one of them")
            }
            Self::InvalidBuckets { metric, bounds } => write!(
                f,
                "buckets {bounds:?} of {metric} are invalid: write 1 to 512 finite bounds, strictly increasing"
            ),
            Self::InvalidOption { metric, option, given, expected } => {
                write!(f, "`{option}` of {metric} has the invalid value {given}: {expected}")
            }
            Self::TooManySeries { metric, combinations, max_series } => write!(
                f,
                "the closed label sets of {metric} have {combinations} combinations, but max_series is {max_series}: raise it, or remove a label"
            ),
            Self::InvalidUnit { metric, unit } => {
                write!(f, "{metric} has the unit {unit:?}, so its name must end in _{unit}")
            }
            Self::Conflict { name, field, registered, location, given } => {
                let another = match field {
                    Field::Type | Field::Help | Field::Unit => "another",
                    Field::States
                    | Field::LabelNames
                    | Field::ConstLabels
                    | Field::Buckets
                    | Field::Quantiles
                    | Field::NativeBuckets => "other",
                };
                let place = Place(location);
                write!(f, "{name} is registered with {another} {field}: {registered} at {place}, {given} here")
            }
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

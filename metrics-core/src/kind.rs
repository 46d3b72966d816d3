//! The type of a family, such as counter or histogram.

/// The type of a family, as in its `# TYPE` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A count that only goes up.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// A count and a sum of observations.
    Summary,
    /// Observations counted in buckets.
    Histogram,
    /// Facts as labels; the value is always 1. A gauge, except in OpenMetrics.
    Info,
    /// The states of a state set; the value of the current one is 1. A gauge, except in OpenMetrics.
    StateSet,
    /// A number of unknown type; only families from collectors have this type.
    Untyped,
}

impl Kind {
    /// The type's name in the text format.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge | Self::Info | Self::StateSet => "gauge",
            Self::Summary => "summary",
            Self::Histogram => "histogram",
            Self::Untyped => "untyped",
        }
    }

    /// The type's name in messages.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::StateSet => "state set",
            kind => kind.as_str(),
        }
    }

    /// The suffixes that samples of this type can add to the family's name. Sample names can also have no suffix.
    #[must_use]
    pub(crate) fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Counter => &["_created"],
            Self::Gauge | Self::Info | Self::StateSet | Self::Untyped => &[],
            Self::Summary => &["_count", "_sum", "_created"],
            Self::Histogram => &["_bucket", "_count", "_sum", "_created"],
        }
    }
}

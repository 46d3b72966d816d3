//! The data model of a scrape (family, series, sample), and the visitor that encoders implement.

use std::borrow::Cow;

use crate::kind::Kind;

/// What all series of a family have in common.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FamilyInfo<'a> {
    /// The name, counters with their `_total`.
    pub name: &'a str,
    /// The help text, not escaped.
    pub help: &'a str,
    /// The type.
    pub kind: Kind,
    /// The base unit, where one was declared.
    pub unit: Option<&'a str>,
}

impl<'a> FamilyInfo<'a> {
    /// A family without a unit.
    #[must_use]
    pub fn new(name: &'a str, help: &'a str, kind: Kind) -> Self {
        Self { name, help, kind, unit: None }
    }
}

/// The labels of one series: `name="value"` pairs, already escaped as the text formats want them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Labels<'a> {
    /// Pairs with a comma between; each part may be empty.
    parts: [&'a str; 2],
}

impl Labels<'_> {
    /// Labels with these names and values, not escaped.
    #[must_use]
    pub fn of(pairs: &[(&str, &str)]) -> OwnedLabels {
        let mut text = String::new();
        for (name, value) in pairs {
            crate::labels::push_pair(&mut text, 0, name, value);
        }
        OwnedLabels(text)
    }
}

/// Labels that were put together; made by [`Labels::of`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedLabels(String);

impl OwnedLabels {
    /// The labels, to be shown to a visitor.
    #[must_use]
    pub fn borrow(&self) -> Labels<'_> {
        Labels::new("", &self.0)
    }
}

impl<'a> Labels<'a> {
    pub(crate) fn new(constant: &'a str, own: &'a str) -> Self {
        Self { parts: [constant, own] }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.parts.iter().all(|part| part.is_empty())
    }

    /// The escaped pairs in at most two pieces, none of which is empty; a comma belongs between them.
    pub fn escaped(self) -> impl Iterator<Item = &'a str> {
        self.parts.into_iter().filter(|part| !part.is_empty())
    }

    /// Names and values, not escaped.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
        self.escaped().flat_map(crate::labels::pairs)
    }
}

/// A count that is exact as long as it can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole number, exact also where an `f64` is not.
    Whole(u64),
    /// Any other.
    Float(f64),
}

impl Number {
    /// The number as `f64`, rounded where it is a whole number over 2^53.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Whole(n) => n as f64,
            Self::Float(n) => n,
        }
    }
}

/// What one series shows in one scrape.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// A counter's total.
    Counter(Number),
    /// A gauge's value.
    Gauge(f64),
    /// A value of unknown type.
    Untyped(f64),
    /// A summary; count and sum belong together.
    Summary {
        /// How many observations there were.
        count: u64,
        /// Their sum.
        sum: f64,
        /// Quantiles (0 to 1) and their values; only foreign summaries have them.
        quantiles: &'a [(f64, f64)],
    },
    /// A histogram; count, sum and buckets belong together.
    Histogram {
        /// How many observations there were: the last bucket's count.
        count: u64,
        /// Their sum.
        sum: f64,
        /// Upper bound and cumulative count of each bucket; the last bound is `+Inf`.
        buckets: &'a [(f64, u64)],
    },
}

/// What walks over a scrape: an encoder, a bridge.
///
/// Families come in the order of their names, each once, and those of the library itself (`metrics_core_*`) last. A family
/// without series is not visited.
pub trait Visitor {
    /// A family begins; the series that follow are its own.
    fn family(&mut self, family: &FamilyInfo<'_>);

    /// One series of the family that was begun last.
    fn series(&mut self, labels: Labels<'_>, value: &Value<'_>);
}

//! Families reported by one of this crate's collectors, buffered until the collector succeeds.

use std::collections::{HashMap, HashSet};

use super::skipped::SkipReason;
use crate::cell::native::NativeBuckets;
use crate::kind::Kind;
use crate::labels;
use crate::sample::{FamilyInfo, Labels, NativeHistogram, Value, Visitor};

/// A family and its series.
pub(crate) struct Recorded {
    pub(crate) name: String,
    help: String,
    pub(crate) kind: Kind,
    unit: Option<String>,
    series: Vec<(String, OwnedValue)>,
}

/// An owned [`Value`].
enum OwnedValue {
    Summary {
        count: u64,
        sum: f64,
        quantiles: Vec<(f64, f64)>,
    },
    Histogram {
        count: u64,
        sum: f64,
        buckets: Vec<(f64, u64)>,
        native: Option<NativeBuckets>,
    },
    /// A value that borrows no data.
    Plain(Value<'static>),
}

impl From<&Value<'_>> for OwnedValue {
    fn from(value: &Value<'_>) -> Self {
        match *value {
            Value::Counter(total) => Self::Plain(Value::Counter(total)),
            Value::Gauge(value) => Self::Plain(Value::Gauge(value)),
            Value::Untyped(value) => Self::Plain(Value::Untyped(value)),
            Value::Summary { count, sum, quantiles } => Self::Summary { count, sum, quantiles: quantiles.to_vec() },
            Value::Histogram { count, sum, buckets, native } => {
                // Prometheus rejects native buckets that contradict the count.
                let native = native.map(NativeBuckets::from).filter(|native| native.is_valid(count));
                Self::Histogram { count, sum, buckets: closed(buckets.to_vec(), count), native }
            }
        }
    }
}

/// Adds the `+Inf` bucket if it is missing.
pub(crate) fn closed(mut buckets: Vec<(f64, u64)>, count: u64) -> Vec<(f64, u64)> {
    if buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
        buckets.push((f64::INFINITY, count));
    }
    buckets
}

impl OwnedValue {
    fn is_of(&self, kind: Kind) -> bool {
        matches!(
            (kind, self.as_value()),
            (Kind::Counter, Value::Counter(_))
                | (Kind::Gauge, Value::Gauge(_))
                | (Kind::Info, Value::Gauge(1.0))
                | (Kind::StateSet, Value::Gauge(0.0 | 1.0))
                | (Kind::Untyped, Value::Untyped(_))
                | (Kind::Summary, Value::Summary { .. })
                | (Kind::Histogram, Value::Histogram { .. })
        )
    }

    fn as_value(&self) -> Value<'_> {
        match self {
            Self::Plain(value) => *value,
            Self::Summary { count, sum, quantiles } => Value::Summary { count: *count, sum: *sum, quantiles },
            Self::Histogram { count, sum, buckets, native } => {
                let native = native.as_ref().map(NativeHistogram::from);
                Value::Histogram { count: *count, sum: *sum, buckets, native }
            }
        }
    }
}

impl Recorded {
    /// Returns an error if writing the family would invalidate the whole scrape. This is the case if a label name is
    /// invalid, two series have the same labels, or a value does not match the family's type.
    pub(crate) fn check(&self) -> Result<(), SkipReason> {
        let mut seen = HashSet::new();
        for (text, value) in &self.series {
            let mut pairs: Vec<_> = labels::pairs(text).collect();
            labels::check_names(&self.name, self.kind, &pairs.iter().map(|(name, _)| *name))?;
            // The label with the state has the name of the family.
            if self.kind == Kind::StateSet && !pairs.iter().any(|(name, _)| *name == self.name) {
                return Err(SkipReason::Mistyped);
            }
            pairs.sort();
            if !seen.insert(pairs) {
                return Err(SkipReason::Repeated);
            }
            if !value.is_of(self.kind) {
                return Err(SkipReason::Mistyped);
            }
        }
        Ok(())
    }

    /// Moves the states of each state set next to each other, because OpenMetrics forbids others between them.
    fn group_states(&mut self) {
        if self.kind != Kind::StateSet {
            return;
        }
        let mut first = HashMap::new();
        let mut keyed = Vec::with_capacity(self.series.len());
        for (at, series) in std::mem::take(&mut self.series).into_iter().enumerate() {
            let labels = labels::pairs(&series.0).filter(|(name, _)| *name != self.name);
            let mut labels: Vec<_> = labels.map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
            labels.sort_unstable();
            keyed.push((*first.entry(labels).or_insert(at), series));
        }
        keyed.sort_by_key(|(first, _)| *first);
        self.series = keyed.into_iter().map(|(_, series)| series).collect();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    pub(crate) fn info(&self) -> FamilyInfo<'_> {
        FamilyInfo { unit: self.unit.as_deref(), ..FamilyInfo::new(&self.name, &self.help, self.kind) }
    }

    /// Passes at most `most` series, starting at position `from`, to `visitor`. Returns false if no more series follow.
    pub(crate) fn show(&self, from: usize, most: usize, visitor: &mut dyn Visitor) -> bool {
        for (text, value) in self.series.iter().skip(from).take(most) {
            visitor.series(Labels::new("", text), &value.as_value());
        }
        from.saturating_add(most) < self.series.len()
    }
}

/// A visitor that buffers families and merges the parts of each family.
#[derive(Default)]
pub(crate) struct Recorder {
    families: Vec<Recorded>,
    /// The position of the current family.
    current: usize,
}

impl Recorder {
    pub(crate) fn families(mut self) -> Vec<Recorded> {
        self.families.iter_mut().for_each(Recorded::group_states);
        self.families
    }
}

impl Visitor for Recorder {
    fn family(&mut self, family: &FamilyInfo<'_>) {
        let begun = self.families.iter().position(|begun| begun.name == family.name && begun.kind == family.kind);
        self.current = begun.unwrap_or(self.families.len());
        if begun.is_none() {
            self.families.push(Recorded {
                name: family.name.to_owned(),
                help: family.help.to_owned(),
                kind: family.kind,
                unit: family.unit.map(str::to_owned),
                series: Vec::new(),
            });
        }
    }

    fn series(&mut self, labels: Labels<'_>, value: &Value<'_>) {
        let text: Vec<&str> = labels.escaped().collect();
        if let Some(family) = self.families.get_mut(self.current) {
            family.series.push((text.join(","), OwnedValue::from(value)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_states_of_a_state_set_are_exported_together() {
        let series = [
            [("door", "open"), ("of", "a")],
            [("door", "open"), ("of", "b")],
            [("of", "a"), ("door", "shut")],
            [("door", "shut"), ("of", "b")],
        ];
        let mut recorder = Recorder::default();
        recorder.family(&FamilyInfo::new("door", "", Kind::StateSet));
        for labels in &series {
            recorder.series(Labels::of(labels).borrow(), &Value::Gauge(0.0));
        }
        let grouped: Vec<String> =
            recorder.families().into_iter().flat_map(|family| family.series).map(|(labels, _)| labels).collect();
        let expected = [0, 2, 1, 3].map(|at| Labels::of(&series[at]).borrow().escaped().collect::<String>());
        assert_eq!(grouped, expected);
    }
}

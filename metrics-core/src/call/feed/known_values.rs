//! Label values that are known before any call, such as those in the list after `in`.

use std::collections::HashSet;

use crate::labels::OTHER;

/// The known values for each of a function's labels, or `None` for a label without known values.
pub(crate) struct KnownValues(Vec<Option<ValueSet>>);

struct ValueSet {
    /// The values in list order, without duplicates. A closed set includes `other`.
    values: Vec<String>,
    closed: Option<HashSet<String>>,
}

impl KnownValues {
    pub(crate) fn new(labels: impl Iterator<Item = Option<(Vec<String>, bool)>>) -> Self {
        Self(labels.map(|label| label.map(|(values, closed)| ValueSet::new(values, closed))).collect())
    }

    /// Returns the known values of the label at this position.
    pub(crate) fn values(&self, position: usize) -> Option<&[String]> {
        self.0.get(position)?.as_ref().map(|known| known.values.as_slice())
    }

    /// Returns `value`, or `other` if the label at this position has a closed set that does not contain it.
    pub(crate) fn closed_value<'v>(&self, position: usize, value: &'v str) -> &'v str {
        match self.0.get(position) {
            Some(Some(ValueSet { closed: Some(set), .. })) if !set.contains(value) => OTHER,
            _ => value,
        }
    }
}

impl ValueSet {
    fn new(list: Vec<String>, closed: bool) -> Self {
        let mut seen = HashSet::new();
        let mut values: Vec<String> = list.into_iter().filter(|value| seen.insert(value.clone())).collect();
        if closed && !seen.contains(OTHER) {
            values.push(OTHER.to_owned());
        }
        Self { values, closed: closed.then_some(seen) }
    }
}

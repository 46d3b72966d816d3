//! Label values that are known before any call: the lists after `in`.

use std::collections::HashSet;

use crate::labels::OTHER;

/// What is known of each label of a site; `None` where nothing is.
pub(crate) struct KnownValues(Vec<Option<ValueSet>>);

struct ValueSet {
    /// In the order of the list, each once; `other` at the end of a closed set.
    values: Vec<String>,
    closed: Option<HashSet<String>>,
}

impl KnownValues {
    pub(crate) fn new(labels: impl Iterator<Item = Option<(Vec<String>, bool)>>) -> Self {
        Self(labels.map(|label| label.map(|(values, closed)| ValueSet::new(values, closed))).collect())
    }

    /// All values of the label at this position that are known.
    pub(crate) fn values(&self, position: usize) -> Option<&[String]> {
        self.0.get(position)?.as_ref().map(|known| known.values.as_slice())
    }

    /// The value itself, or `other` if it is not in the closed set of the label at this position.
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

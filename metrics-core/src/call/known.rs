//! The label values that are known before any call: the lists after `in`.

use std::collections::HashSet;
use std::panic::Location;

use super::families::Families;
use super::site::MAX_LABELS;
use crate::labels::OTHER;
use crate::registry::{Problem, ProblemKind, Registry};

/// What is known of each label that calls give the value of; `None` where nothing is.
pub(super) struct KnownValues(Vec<Option<Known>>);

struct Known {
    /// In the order of the list, each once; `other` at the end of a closed set.
    values: Vec<String>,
    closed: Option<HashSet<String>>,
}

impl KnownValues {
    pub(super) fn new(labels: impl Iterator<Item = Option<(Vec<String>, bool)>>) -> Self {
        Self(labels.map(|label| label.map(|(values, closed)| Known::new(values, closed))).collect())
    }

    /// The value itself, or `other` if it is not in the closed set of the label at this position.
    pub(super) fn closed_value<'v>(&self, position: usize, value: &'v str) -> &'v str {
        match self.0.get(position) {
            Some(Some(Known { closed: Some(set), .. })) if !set.contains(value) => OTHER,
            _ => value,
        }
    }
}

impl Known {
    fn new(list: Vec<String>, closed: bool) -> Self {
        let mut seen = HashSet::new();
        let mut values: Vec<String> = list.into_iter().filter(|value| seen.insert(value.clone())).collect();
        if closed && !seen.contains(OTHER) {
            values.push(OTHER.to_owned());
        }
        Self { values, closed: closed.then_some(seen) }
    }
}

/// Creates the series of all combinations at 0, if the values of all labels are known.
pub(super) fn create_series(known: &KnownValues, families: &Families, location: &'static Location<'static>) {
    families.know_values(|position| known.0.get(position)?.as_ref().map(|known| known.values.as_slice()));
    let Some(lists) = known.0.iter().map(Option::as_ref).collect::<Option<Vec<_>>>() else { return };
    let combinations = lists.iter().fold(1_usize, |product, list| product.saturating_mul(list.values.len()));
    let mut values = [""; MAX_LABELS];
    let all_fit = (0..combinations).all(|combination| {
        let mut rest = combination;
        for (value, list) in values[..lists.len()].iter_mut().zip(&lists).rev() {
            *value = &list.values[rest % list.values.len()];
            rest /= list.values.len();
        }
        families.within_cap(&values[..lists.len()]).is_some()
    });
    if !all_fit && let Some((cap, family)) = families.cap() {
        Registry::global().add_problem(Problem {
            kind: ProblemKind::Declaration,
            family: family.to_owned(),
            message: format!(
                "the known label sets are more than {family} has room for: those beyond its max_series of {cap} are not exported at 0; raise `max_series`"
            ),
            location: Some(location),
        });
    }
}

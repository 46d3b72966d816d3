//! The independent model: plain counts that each worker keeps in its own memory, merged when it ends.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::samples::Series;

/// The value of a label.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    Text(&'static str),
    Number(u64),
    Bound(u64),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<f64> for Value {
    fn from(bound: f64) -> Self {
        Self::Bound(bound.to_bits())
    }
}

/// The maximum number of labels.
const LABELS: usize = 3;

/// A series, without allocations.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    name: &'static str,
    labels: [Option<(&'static str, Value)>; LABELS],
}

/// The counts of a worker, in quarters, so that sums of the observed values are exact.
#[derive(Default)]
pub(crate) struct Tally {
    quarters: HashMap<Key, i64>,
    /// The number of operations on the library.
    pub(crate) operations: u64,
}

/// A tally that several tasks or destructors share.
pub(crate) type Shared = Mutex<Tally>;

/// The bounds of a histogram and the names of its samples.
pub(crate) struct Distribution {
    pub(crate) count: &'static str,
    pub(crate) sum: &'static str,
    pub(crate) bucket: &'static str,
    pub(crate) bounds: &'static [f64],
}

/// The names of the default families of annotated functions.
pub(crate) struct Function {
    pub(crate) calls: &'static str,
    pub(crate) exceptions: &'static str,
    pub(crate) cancelled: &'static str,
}

impl Tally {
    fn add<const N: usize>(&mut self, name: &'static str, labels: [(&'static str, Value); N], quarters: i64) {
        let mut key = Key { name, labels: [None; LABELS] };
        for (to, label) in key.labels.iter_mut().zip(labels) {
            *to = Some(label);
        }
        match self.quarters.entry(key) {
            Entry::Occupied(mut entry) => *entry.get_mut() += quarters,
            Entry::Vacant(entry) => drop(entry.insert(quarters)),
        }
    }

    /// Counts one event.
    pub(crate) fn count<const N: usize>(&mut self, name: &'static str, labels: [(&'static str, Value); N]) {
        self.add(name, labels, 4);
    }

    /// Adds an amount to a series without labels.
    pub(crate) fn amount(&mut self, name: &'static str, quarters: i64) {
        self.add(name, [], quarters);
    }

    /// Counts an observed value.
    pub(crate) fn observe<const N: usize>(
        &mut self,
        distribution: &Distribution,
        labels: [(&'static str, Value); N],
        quarters: i64,
    ) {
        self.add(distribution.count, labels, 4);
        self.add(distribution.sum, labels, quarters);
        for bound in distribution.bounds.iter().filter(|bound| quarters as f64 / 4.0 <= **bound) {
            match labels.first() {
                Some(label) => self.add(distribution.bucket, [*label, ("le", (*bound).into())], 4),
                None => self.add(distribution.bucket, [("le", (*bound).into())], 4),
            }
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (key, quarters) in other.quarters {
            *self.quarters.entry(key).or_default() += quarters;
        }
        self.operations += other.operations;
    }

    /// Returns the value of each series.
    pub(crate) fn values(&self) -> BTreeMap<Series, f64> {
        let text = |value: Value| match value {
            Value::Text(text) => text.to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Bound(bits) => f64::from_bits(bits).to_string(),
        };
        let values = self.quarters.iter().map(|(key, quarters)| {
            let labels = key.labels.iter().flatten().map(|(name, value)| (*name, text(*value)));
            (Series::new(key.name, labels), *quarters as f64 / 4.0)
        });
        values.collect()
    }
}

/// Locks a mutex. Planned panics may have poisoned it, but never while a tally was incomplete.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

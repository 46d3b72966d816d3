//! Counters of overflowed lookups, one per family name in the process.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::cell::{Handle, counter};
use crate::lock::lock;

/// Counters by family name. They are never freed: the names come from code, not from callers, so there are few of them.
static COUNTERS: Mutex<BTreeMap<String, Handle>> = Mutex::new(BTreeMap::new());

/// Returns the counter for families with this name, creating it at 0 if necessary. Returns `None` if there is no slot
/// or memory.
pub(super) fn counter(family: &str) -> Option<Handle> {
    let mut counters = lock(&COUNTERS);
    if let Some(known) = counters.get(family) {
        return Some(*known);
    }
    let new = counter::allocate()?;
    counters.insert(family.to_owned(), new);
    Some(new)
}

/// Returns all counters, sorted by family name.
pub(crate) fn counters() -> Vec<(String, Handle)> {
    lock(&COUNTERS).iter().map(|(family, handle)| (family.clone(), *handle)).collect()
}

//! Counters of overflowed lookups, one per family name in the process.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::cell::{Handle, counter};
use crate::lock::lock;

/// Family names with their counters, which are never given back: names come from code, not from callers.
static COUNTERS: Mutex<BTreeMap<String, Handle>> = Mutex::new(BTreeMap::new());

/// The counter of a family of this name, made at 0 if there is none.
pub(super) fn counter(family: &str) -> Handle {
    let mut counters = lock(&COUNTERS);
    if let Some(known) = counters.get(family) {
        return *known;
    }
    let new = counter::allocate().unwrap_or(Handle::NONE);
    counters.insert(family.to_owned(), new);
    new
}

/// All counters there are, by family name.
pub(crate) fn counters() -> Vec<(String, Handle)> {
    lock(&COUNTERS).iter().map(|(family, handle)| (family.clone(), *handle)).collect()
}

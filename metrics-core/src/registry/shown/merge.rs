//! Merges the families of several collectors by name, and skips families that cannot be exported together.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::from_prometheus::{kind_of, merged};
use super::skipped::{SkipReason, SkippedFamily};
use super::{Collected, CollectedFamily};
use crate::error::Owner;
use crate::internal::InternalError;
use crate::kind::Kind;
use crate::registry::Registry;

/// The families that collectors have reported in one scrape.
#[derive(Default)]
pub(crate) struct MergedFamilies {
    pub(crate) families: BTreeMap<String, MergedFamily>,
    pub(crate) skipped: Vec<SkippedFamily>,
    /// Maps each sample name of these families to the family that it belongs to.
    taken: HashMap<String, String>,
}

/// A family reported by one or more collectors.
pub(crate) enum MergedFamily {
    /// A family from one collector, identified by its position in a result that scrapes share.
    Shared(Arc<Collected>, usize),
    /// A family merged from several collectors' families.
    Merged(CollectedFamily),
}

impl Registry {
    /// Merges the families that can be exported, and skips the others.
    pub(crate) fn merge(&self, collected: Vec<Arc<Collected>>) -> MergedFamilies {
        let mut merged = MergedFamilies::default();
        let state = self.read();
        for collected in collected {
            for (at, (shown, reason)) in collected.families.iter().enumerate() {
                let name = shown.name();
                let added = match (state.members.clash(name, shown.kind()), reason) {
                    (Some(owner), _) => Err(Arc::new(SkipReason::Taken(owner))),
                    (None, Some(reason)) => Err(Arc::clone(reason)),
                    (None, None) => merged.add(name, &collected, at).map_err(Arc::new),
                };
                if let Err(reason) = added {
                    merged.skipped.push(SkippedFamily { name: name.to_owned(), by: collected.by.clone(), reason });
                }
            }
        }
        // The lock is released first, because recording an error logs it, and a logger is user code.
        drop(state);
        for SkippedFamily { name, reason, .. } in &merged.skipped {
            InternalError::CollectorConflict.record_cause(name, reason);
        }
        merged
    }
}

impl MergedFamilies {
    /// Adds a family, or merges it into the family with the same name.
    fn add(&mut self, name: &str, collected: &Arc<Collected>, at: usize) -> Result<(), SkipReason> {
        let (added, _) = &collected.families[at];
        let Some(known) = self.families.get_mut(name) else {
            let samples: Vec<String> = text_samples(name, added.kind()).collect();
            if let Some(by) = samples.iter().find_map(|sample| self.taken.get(sample)) {
                return Err(SkipReason::Taken(Owner::Family { name: by.clone(), location: None }));
            }
            self.taken.extend(samples.into_iter().map(|sample| (sample, name.to_owned())));
            self.families.insert(name.to_owned(), MergedFamily::Shared(Arc::clone(collected), at));
            return Ok(());
        };
        match (known.shown(), added) {
            (CollectedFamily::Prometheus(parts), CollectedFamily::Prometheus(more))
                if parts.first().map(kind_of) == more.first().map(kind_of) =>
            {
                *known = MergedFamily::Merged(CollectedFamily::Prometheus(merged(parts, more)));
                Ok(())
            }
            _ => Err(SkipReason::Mixed),
        }
    }
}

impl MergedFamily {
    pub(crate) fn shown(&self) -> &CollectedFamily {
        match self {
            Self::Shared(collected, at) => &collected.families[*at].0,
            Self::Merged(shown) => shown,
        }
    }
}

/// Returns the sample names that a family with this name and type has in the text format.
fn text_samples(name: &str, kind: Kind) -> impl Iterator<Item = String> + '_ {
    let suffixes = kind.suffixes().iter().filter(|suffix| **suffix != "_created");
    std::iter::once(name.to_owned()).chain(suffixes.map(move |suffix| format!("{name}{suffix}")))
}

//! Families of several collectors put together: which are exported, and which are left out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::from_prometheus::{kind_of, merged};
use super::skipped::{LeftOut, Reason};
use super::{Collected, Shown};
use crate::internal::InternalError;
use crate::kind::Kind;
use crate::registry::Registry;

/// What collectors showed in one scrape.
#[derive(Default)]
pub(crate) struct Foreign {
    pub(crate) families: BTreeMap<String, ForeignFamily>,
    pub(crate) left_out: Vec<LeftOut>,
    /// Sample names of these families, and the family each belongs to.
    taken: HashMap<String, String>,
}

/// One family, as scrapes that share what a collector has shown have it.
pub(crate) enum ForeignFamily {
    /// One of those that a collector has shown.
    Shared(Arc<Collected>, usize),
    /// Put together of what several have shown.
    Merged(Shown),
}

impl Registry {
    /// What of this is to be shown.
    pub(crate) fn foreign(&self, collected: Vec<Arc<Collected>>) -> Foreign {
        let mut foreign = Foreign::default();
        let state = self.read();
        for collected in collected {
            for (at, (shown, reason)) in collected.families.iter().enumerate() {
                let name = shown.name();
                let added = match (state.members.clash(name, shown.kind()), reason) {
                    (Some(ours), _) => Err(Arc::new(Reason::Taken(ours.to_owned()))),
                    (None, Some(reason)) => Err(Arc::clone(reason)),
                    (None, None) => foreign.add(name, &collected, at).map_err(Arc::new),
                };
                if let Err(reason) = added {
                    foreign.left_out.push(LeftOut { name: name.to_owned(), by: collected.by.clone(), reason });
                }
            }
        }
        // Recording logs, and a logger is user code.
        drop(state);
        for LeftOut { name, reason, .. } in &foreign.left_out {
            InternalError::CollectorConflict.record_cause(name, reason);
        }
        foreign
    }
}

impl Foreign {
    /// Adds a family, or a part of one.
    fn add(&mut self, name: &str, collected: &Arc<Collected>, at: usize) -> Result<(), Reason> {
        let (added, _) = &collected.families[at];
        let Some(known) = self.families.get_mut(name) else {
            let samples: Vec<String> = text_samples(name, added.kind()).collect();
            if let Some(by) = samples.iter().find_map(|sample| self.taken.get(sample)) {
                return Err(Reason::Taken(by.clone()));
            }
            self.taken.extend(samples.into_iter().map(|sample| (sample, name.to_owned())));
            self.families.insert(name.to_owned(), ForeignFamily::Shared(Arc::clone(collected), at));
            return Ok(());
        };
        match (known.shown(), added) {
            (Shown::Prometheus(parts), Shown::Prometheus(more))
                if parts.first().map(kind_of) == more.first().map(kind_of) =>
            {
                *known = ForeignFamily::Merged(Shown::Prometheus(merged(parts, more)));
                Ok(())
            }
            _ => Err(Reason::Mixed),
        }
    }
}

impl ForeignFamily {
    pub(crate) fn shown(&self) -> &Shown {
        match self {
            Self::Shared(collected, at) => &collected.families[*at].0,
            Self::Merged(shown) => shown,
        }
    }
}

/// The sample names that a family of this name has in the text format.
fn text_samples(name: &str, kind: Kind) -> impl Iterator<Item = String> + '_ {
    let suffixes = kind.suffixes().iter().filter(|suffix| **suffix != "_created");
    std::iter::once(name.to_owned()).chain(suffixes.map(move |suffix| format!("{name}{suffix}")))
}

//! The families of one scrape, by name, and the source of each family's values.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::gathering::{Found, Gathering};
use super::own_families::{INTERNAL_ERRORS, OVERFLOWED, PROBLEMS};
use super::parts::FamilyPart;
use crate::exposure::EXPOSURE;
use crate::kind::Kind;
use crate::registry::collect::context::DEFAULT_COLLECT_TIMEOUT;
use crate::registry::members::{Callback, Member};
use crate::registry::shown::merge::MergedFamily;
use crate::registry::{Registry, declared};
use crate::sample::Value;

/// The family sources for one scrape, by name.
pub(crate) struct Sources {
    pub(crate) families: Vec<(String, FamilySource)>,
    /// True if OpenMetrics output includes `_created` samples.
    pub(crate) exports_created: bool,
}

pub(crate) enum FamilySource {
    /// One part for each set of label names. Most families have a single part.
    Family(Vec<FamilyPart>),
    Callback(Arc<Callback>, Value<'static>),
    Collected(MergedFamily),
    InternalErrors,
    Overflowed,
    Problems(usize),
}

impl Sources {
    /// Like [`Sources::all`], but first initializes the declarations that need no user code.
    pub(crate) fn gather(registry: &Registry, timeout: Duration) -> Self {
        declared::initialize_for_scrape(registry.inner.is_global);
        Self::all(registry, timeout)
    }

    /// Returns the registry's own families, without those of its collectors.
    pub(crate) fn own(registry: &Registry) -> Self {
        Self::new(registry, Some(Gathering::begin(registry, DEFAULT_COLLECT_TIMEOUT, false).wait()))
    }

    /// Returns the registry's own families and those of its collectors. Waits for the collectors for at most `timeout`.
    pub(crate) fn all(registry: &Registry, timeout: Duration) -> Self {
        Self::new(registry, Some(Gathering::begin(registry, timeout, true).wait()))
    }

    /// Returns the registry's own families and the given results of collectors and callbacks.
    pub(crate) fn new(registry: &Registry, found: Option<Found>) -> Self {
        EXPOSURE.begin();
        let (collected, values) = found.map_or_else(Default::default, |found| (found.collected, found.values));
        let merged = registry.merge(collected);
        let (members, problems) = {
            let state = registry.read();
            (state.members.with_variants(), state.problems.all().len())
        };
        let mut by_name = BTreeMap::new();
        for (member, variants) in members {
            if let Member::Family(core) = member {
                let name = core.declaration.name.clone();
                let cores = std::iter::once(core).chain(variants);
                let parts = cores.map(|core| FamilyPart { core, early: None }).collect();
                by_name.insert(name, FamilySource::Family(parts));
            }
        }
        for (callback, value) in values {
            by_name.insert(callback.core.declaration.name.clone(), FamilySource::Callback(callback, value));
        }
        if registry.inner.is_global {
            by_name.insert(INTERNAL_ERRORS.to_owned(), FamilySource::InternalErrors);
            by_name.insert(OVERFLOWED.to_owned(), FamilySource::Overflowed);
            let problems = problems + declared::problems(true).len() + merged.skipped.len();
            by_name.insert(PROBLEMS.to_owned(), FamilySource::Problems(problems));
        }
        for (name, shown) in merged.families {
            by_name.entry(name).or_insert(FamilySource::Collected(shown));
        }
        let mut families: Vec<_> = by_name.into_iter().collect();
        families.sort_by(|(one, _), (other, _)| position(one).cmp(&position(other)));
        Self { families, exports_created: registry.inner.exports_created.load(Ordering::Relaxed) }
    }

    /// Returns the parts that must be read early, as pairs of family and part positions, in reverse reading order.
    pub(crate) fn marked_early(&self) -> Vec<(usize, usize)> {
        let parts = self.families.iter().enumerate().filter_map(|(at, (_, source))| match source {
            FamilySource::Family(parts) => Some((at, parts)),
            _ => None,
        });
        let marked = parts.flat_map(|(at, parts)| {
            let marked = parts.iter().enumerate().filter(|(_, part)| part.core.totals_when_marked().is_some());
            marked.map(move |(position, _)| (at, position))
        });
        let mut marked: Vec<_> = marked.collect();
        marked.reverse();
        marked
    }

    /// Returns the type of the family with this name, if it exists.
    pub(crate) fn kind_of(&self, name: &str) -> Option<Kind> {
        let at = self.families.binary_search_by(|(other, _)| position(other).cmp(&position(name))).ok()?;
        self.families.get(at).map(|(_, source)| source.kind())
    }

    /// Returns the names of all families.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.families.iter().map(|(name, _)| name.as_str())
    }
}

/// Returns the sort key of a family. Families are sorted by name, with the library's own families last, because readers
/// look for the service's families.
fn position(name: &str) -> (bool, &str) {
    (name.starts_with("metrics_core_"), name)
}

impl FamilySource {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Family(parts) => parts.first().map_or(Kind::Untyped, |part| part.core.declaration.kind()),
            Self::Callback(callback, _) => callback.core.declaration.kind(),
            Self::Collected(family) => family.shown().kind(),
            Self::InternalErrors | Self::Overflowed => Kind::Counter,
            Self::Problems(_) => Kind::Gauge,
        }
    }
}

//! One scrape: every family by name, each series once, shown to a visitor.

pub(crate) mod gathering;
pub(crate) mod steps;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::collect::DEFAULT_PATIENCE;
use super::members::{Callback, Member};
use super::shown::merge::ForeignFamily;
use super::{Registry, declared};
use crate::cell::{Handle, counter};
use crate::family::FamilyCore;
use crate::kind::Kind;
use crate::sample::{Value, Visitor};
use gathering::{Found, Gathering};
use steps::{Reader, Steps};

pub(crate) const INTERNAL_ERRORS: &str = "metrics_core_internal_errors_total";
pub(crate) const OVERFLOWED: &str = "metrics_core_overflowed_total";
pub(crate) const PROBLEMS: &str = "metrics_core_problems";

/// The families of the global registry that tell about itself.
pub(crate) const OWN_FAMILIES: [(&str, Kind); 3] =
    [(INTERNAL_ERRORS, Kind::Counter), (OVERFLOWED, Kind::Counter), (PROBLEMS, Kind::Gauge)];

/// A scrape that is about to be made; made by [`Registry::scrape`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a scrape does nothing until it is visited or encoded"]
pub struct Scrape<'r> {
    registry: &'r Registry,
    sorted: bool,
    patience: Duration,
}

impl Registry {
    /// A scrape of this registry, to be encoded or visited.
    pub fn scrape(&self) -> Scrape<'_> {
        Scrape { registry: self, sorted: false, patience: DEFAULT_PATIENCE }
    }
}

impl Scrape<'_> {
    /// Shows the series of each family in the order of their labels, not of their creation. Slower; meant for tests
    /// and for comparing two scrapes.
    pub fn sorted(mut self) -> Self {
        self.sorted = true;
        self
    }

    /// How long to wait for collectors; 5 seconds if not set. What is not there by then is left out, and counts in
    /// `metrics_core_internal_errors_total{kind="collector_timeout"}`.
    pub fn collector_timeout(mut self, timeout: Duration) -> Self {
        self.patience = timeout;
        self
    }

    /// Shows every family, and every series of it, to `visitor`. No lock is held while the visitor runs.
    pub fn visit(self, visitor: &mut dyn Visitor) {
        self.begin().show_all(visitor);
    }

    /// Collects what is collected at a scrape, and begins to show everything.
    pub(crate) fn begin(self) -> Steps {
        Steps::new(Sources::gather(self.registry, self.patience), self.sorted)
    }
}

/// Where the families of one scrape come from, by name.
pub(crate) struct Sources {
    pub(crate) families: Vec<(String, Source)>,
}

pub(crate) enum Source {
    /// With what was read early, where it was.
    Family(Arc<FamilyCore>, Option<Vec<(Handle, counter::Total)>>),
    Callback(Arc<Callback>, Value<'static>),
    Foreign(ForeignFamily),
    InternalErrors,
    Overflowed,
    Problems(usize),
}

impl Sources {
    /// Everything that a scrape shows. Waits for collectors.
    pub(crate) fn gather(registry: &Registry, patience: Duration) -> Self {
        declared::claim_all(registry.inner.is_global);
        Self::all(registry, patience)
    }

    /// Our own families.
    pub(crate) fn own(registry: &Registry) -> Self {
        Self::new(registry, Some(Gathering::begin(registry, DEFAULT_PATIENCE, false, true).wait()))
    }

    /// Our own families and those of collectors.
    pub(crate) fn all(registry: &Registry, patience: Duration) -> Self {
        Self::new(registry, Some(Gathering::begin(registry, patience, true, true).wait()))
    }

    /// Our own families, and what else was found.
    pub(crate) fn new(registry: &Registry, found: Option<Found>) -> Self {
        let (collected, values) = found.map_or_else(Default::default, |found| (found.collected, found.values));
        let foreign = registry.foreign(collected);
        let (members, problems) = {
            let state = registry.read();
            (state.members.all(), state.problems.all().len())
        };
        let mut by_name = BTreeMap::new();
        for member in members {
            if let Member::Family(core) = member {
                by_name.insert(core.declaration.name.clone(), Source::Family(core, None));
            }
        }
        for (callback, value) in values {
            by_name.insert(callback.core.declaration.name.clone(), Source::Callback(callback, value));
        }
        if registry.inner.is_global {
            by_name.insert(INTERNAL_ERRORS.to_owned(), Source::InternalErrors);
            by_name.insert(OVERFLOWED.to_owned(), Source::Overflowed);
            by_name.insert(PROBLEMS.to_owned(), Source::Problems(problems + foreign.left_out.len()));
        }
        for (name, shown) in foreign.families {
            by_name.entry(name).or_insert(Source::Foreign(shown));
        }
        let mut sources = Self { families: by_name.into_iter().collect() };
        sources.read_early();
        sources
    }

    /// Reads counters that are to be read before everything else. Exceptions are counted after the call they belong to;
    /// read before it, they never exceed it.
    fn read_early(&mut self) {
        let mut reader = Reader::default();
        for (_, source) in &mut self.families {
            if let Source::Family(family, early) = source
                && family.is_read_first()
            {
                *early = Some(reader.read_early(family));
            }
        }
    }

    /// The type of the family of this name, if there is one.
    pub(crate) fn kind_of(&self, name: &str) -> Option<Kind> {
        let at = self.families.binary_search_by(|(other, _)| other.as_str().cmp(name)).ok()?;
        self.families.get(at).map(|(_, source)| source.kind())
    }

    /// The names of all families.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.families.iter().map(|(name, _)| name.as_str())
    }

    /// Shows everything to `visitor`.
    pub(crate) fn show_all(self, visitor: &mut dyn Visitor) {
        Steps::new(self, false).show_all(visitor);
    }
}

impl Source {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Family(core, _) => core.declaration.kind(),
            Self::Callback(callback, _) => callback.core.declaration.kind(),
            Self::Foreign(family) => family.shown().kind(),
            Self::InternalErrors | Self::Overflowed => Kind::Counter,
            Self::Problems(_) => Kind::Gauge,
        }
    }
}

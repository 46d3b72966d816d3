//! One scrape: every family by name, each series once, shown to a visitor.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use super::collectors::{DEFAULT_PATIENCE, isolated};
use super::foreign::Shown;
use super::names::{Callback, Member};
use super::{Registry, declared};
use crate::cell::{Handle, counter};
use crate::counter::number;
use crate::family::core::Walk;
use crate::family::{Declaration, FamilyCore, overflow};
use crate::internal::InternalError;
use crate::labels;
use crate::metric::Readings;
use crate::sample::{FamilyInfo, Kind, Labels, Number, Value, Visitor};

const INTERNAL_ERRORS: &str = "metrics_core_internal_errors_total";
const OVERFLOWED: &str = "metrics_core_overflowed_total";
const PROBLEMS: &str = "metrics_core_problems";

/// The families of the global registry that tell about itself.
pub(super) const OWN_FAMILIES: [(&str, Kind); 3] =
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
        declared::claim_all(self.registry.inner.is_global);
        Sources::all(self.registry, self.patience).walk(self.sorted, visitor);
    }
}

/// Where the families of one scrape come from, by name.
pub(super) struct Sources {
    by_name: BTreeMap<String, Source>,
}

enum Source {
    Member(Member),
    Foreign(Shown),
    InternalErrors,
    Overflowed,
    Problems(usize),
}

impl Sources {
    /// Our own families.
    pub(super) fn own(registry: &Registry) -> Self {
        Self::with_problems(registry, 0)
    }

    /// Our own families and those of collectors.
    pub(super) fn all(registry: &Registry, patience: Duration) -> Self {
        let foreign = registry.gather_foreign(patience);
        let mut sources = Self::with_problems(registry, foreign.left_out.len());
        for (name, shown) in foreign.families {
            sources.by_name.entry(name).or_insert(Source::Foreign(shown));
        }
        sources
    }

    fn with_problems(registry: &Registry, left_out: usize) -> Self {
        let state = registry.read();
        let members = state.members.all().into_iter();
        let mut by_name: BTreeMap<String, Source> =
            members.map(|member| (member.core().declaration.name.clone(), Source::Member(member))).collect();
        if registry.inner.is_global {
            by_name.insert(INTERNAL_ERRORS.to_owned(), Source::InternalErrors);
            by_name.insert(OVERFLOWED.to_owned(), Source::Overflowed);
            by_name.insert(PROBLEMS.to_owned(), Source::Problems(state.problems.all().len() + left_out));
        }
        Self { by_name }
    }

    /// Shows everything to `visitor`.
    pub(super) fn walk(self, sorted: bool, visitor: &mut dyn Visitor) {
        let mut reader = Reader { readings: Readings::default(), live: Vec::new(), sorted };
        let mut early: BTreeMap<&str, Early<'_>> = BTreeMap::new();
        for (name, source) in &self.by_name {
            if let Source::Member(Member::Family(family)) = source
                && family.is_read_first()
            {
                early.insert(name, reader.read_early(family));
            }
        }
        for (name, source) in &self.by_name {
            match source {
                Source::Member(Member::Family(family)) => reader.show(family, early.remove(name.as_str()), visitor),
                Source::Member(Member::Callback(callback)) => show_callback(callback, visitor),
                Source::Foreign(shown) => shown.visit(visitor),
                Source::InternalErrors => internal_errors(visitor),
                Source::Overflowed => overflowed(visitor),
                Source::Problems(count) => problems(*count, visitor),
            }
        }
    }
}

/// Counters that were read before everything else. Exceptions are counted after the call they belong to; read before it,
/// they never exceed it.
struct Early<'a> {
    walk: Walk<'a>,
    /// In the order of the walk.
    totals: Vec<(Handle, counter::Total)>,
}

struct Reader {
    readings: Readings,
    live: Vec<bool>,
    sorted: bool,
}

impl Reader {
    fn read_early<'a>(&mut self, family: &'a FamilyCore) -> Early<'a> {
        let Declaration { metric, bounds, .. } = family.declaration;
        let walk = family.walk();
        let mut totals = Vec::with_capacity(family.len());
        walk.chunks(false, |chunk| {
            (metric.read)(chunk.handles(), bounds, &mut self.readings);
            totals.extend(chunk.handles().iter().copied().zip(self.readings.counters.iter().copied()));
        });
        Early { walk, totals }
    }

    fn show(&mut self, family: &FamilyCore, early: Option<Early<'_>>, visitor: &mut dyn Visitor) {
        let Declaration { metric, bounds, .. } = family.declaration;
        let (walk, mut early) = match early {
            Some(Early { walk, totals }) => (walk, Some(totals.into_iter())),
            None => (family.walk(), None),
        };
        let mut begun = false;
        walk.chunks(self.sorted, |chunk| {
            let handles = chunk.handles();
            match &mut early {
                // It has all that are still there; those that were removed meanwhile are passed over.
                Some(totals) => {
                    let total = |handle| {
                        totals.find(|(read, _)| read == handle).map_or(counter::Total::default(), |(_, total)| total)
                    };
                    self.readings.counters.clear();
                    self.readings.counters.extend(handles.iter().map(total));
                }
                None => (metric.read)(handles, bounds, &mut self.readings),
            }
            // A series that was removed meanwhile has no value any more; 0 would look like a reset.
            (metric.are_live)(handles, &mut self.live);
            let order = self.sorted.then(|| chunk.sorted());
            for position in 0..handles.len() {
                let at = order.as_ref().map_or(position, |order| order[position]);
                if !self.live[at] {
                    continue;
                }
                if !mem::replace(&mut begun, true) {
                    visitor.family(&family.declaration.info());
                }
                let value = (metric.value)(&self.readings, at);
                visitor.series(Labels::new(&family.const_text, chunk.text(at)), &value);
            }
        });
    }
}

fn show_callback(callback: &Callback, visitor: &mut dyn Visitor) {
    let declaration = &callback.core.declaration;
    if let Some(value) = isolated(&declaration.name, || (callback.value)()) {
        visitor.family(&declaration.info());
        visitor.series(Labels::new(&callback.core.const_text, ""), &value);
    }
}

fn overflowed(visitor: &mut dyn Visitor) {
    let mut counters = overflow::counters().into_iter().peekable();
    if counters.peek().is_none() {
        return;
    }
    visitor.family(&FamilyInfo {
        name: OVERFLOWED,
        help: "Label sets that went to the overflow series of their family.",
        kind: Kind::Counter,
        unit: None,
    });
    for (family, handle) in counters {
        let total = number(counter::read(handle));
        labelled("family", &family, |labels| visitor.series(labels, &Value::Counter(total)));
    }
}

fn internal_errors(visitor: &mut dyn Visitor) {
    visitor.family(&FamilyInfo {
        name: INTERNAL_ERRORS,
        help: "What went wrong inside the instrumentation, by kind.",
        kind: Kind::Counter,
        unit: None,
    });
    for kind in InternalError::ALL {
        let total = Value::Counter(Number::Whole(kind.count()));
        labelled("kind", kind.as_str(), |labels| visitor.series(labels, &total));
    }
}

fn problems(count: usize, visitor: &mut dyn Visitor) {
    visitor.family(&FamilyInfo {
        name: PROBLEMS,
        help: "Declarations that are not exported as written; the log and `Registry::check` name them.",
        kind: Kind::Gauge,
        unit: None,
    });
    visitor.series(Labels::default(), &Value::Gauge(count as f64));
}

fn labelled(name: &str, value: &str, visit: impl FnOnce(Labels<'_>)) {
    let mut text = String::new();
    labels::push_pair(&mut text, 0, name, value);
    visit(Labels::new("", &text));
}

//! One scrape: every family by name, each series once, shown to a visitor.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::collectors::DEFAULT_PATIENCE;
use super::foreign::{Foreign, Shown};
use super::names::{Callback, Member};
use super::{Registry, callbacks, declared};
use crate::cell::{Handle, counter};
use crate::counter::number;
use crate::family::core::Walk;
use crate::family::table::Chunk;
use crate::family::{Declaration, FamilyCore, overflow};
use crate::internal::InternalError;
use crate::labels;
use crate::metric::Readings;
use crate::sample::{FamilyInfo, Kind, Labels, Number, Value, Visitor};

const INTERNAL_ERRORS: &str = "metrics_core_internal_errors_total";
const OVERFLOWED: &str = "metrics_core_overflowed_total";
const PROBLEMS: &str = "metrics_core_problems";

/// Series of a collector that are shown in one step.
const AT_ONCE: usize = 128;

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
        self.begin().show_all(visitor);
    }

    /// Collects what is collected at a scrape, and begins to show everything.
    pub(crate) fn begin(self) -> Steps {
        Steps::new(Sources::gather(self.registry, self.patience).into(), self.sorted)
    }
}

/// Where the families of one scrape come from, by name; several scrapes at the same time can show the same.
pub(crate) struct Sources {
    families: Vec<(String, Source)>,
}

enum Source {
    /// With what was read early, where it was.
    Family(Arc<FamilyCore>, Option<Vec<(Handle, counter::Total)>>),
    Callback(Arc<Callback>, Value<'static>),
    Foreign(Shown),
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
    pub(super) fn own(registry: &Registry) -> Self {
        Self::with_foreign(registry, DEFAULT_PATIENCE, None)
    }

    /// Our own families and those of collectors.
    pub(super) fn all(registry: &Registry, patience: Duration) -> Self {
        let foreign = registry.gather_foreign(patience);
        Self::with_foreign(registry, patience, Some(foreign))
    }

    fn with_foreign(registry: &Registry, patience: Duration, foreign: Option<Foreign>) -> Self {
        let (members, problems) = {
            let state = registry.read();
            (state.members.all(), state.problems.all().len())
        };
        let mut by_name = BTreeMap::new();
        let mut asked = Vec::new();
        for member in members {
            match member {
                Member::Family(core) => {
                    by_name.insert(core.declaration.name.clone(), Source::Family(core, None));
                }
                Member::Callback(callback) => asked.push(callback),
            }
        }
        for (callback, value) in callbacks::ask(registry, asked, patience) {
            by_name.insert(callback.core.declaration.name.clone(), Source::Callback(callback, value));
        }
        let foreign = foreign.unwrap_or_default();
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

    /// Whether there is a family of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.families.binary_search_by(|(other, _)| other.as_str().cmp(name)).is_ok()
    }

    /// The names of all families.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.families.iter().map(|(name, _)| name.as_str())
    }

    /// Shows everything to `visitor`.
    pub(super) fn show_all(self, visitor: &mut dyn Visitor) {
        Steps::new(self.into(), false).show_all(visitor);
    }
}

impl Source {
    fn kind(&self) -> Kind {
        match self {
            Self::Family(core, _) => core.declaration.kind(),
            Self::Callback(callback, _) => callback.core.declaration.kind(),
            Self::Foreign(shown) => shown.kind(),
            Self::InternalErrors | Self::Overflowed => Kind::Counter,
            Self::Problems(_) => Kind::Gauge,
        }
    }
}

/// A scrape that is being shown, some series at a time; between the steps no lock is held, and nothing has to go on.
pub(crate) struct Steps {
    sources: Arc<Sources>,
    sorted: bool,
    /// The family to show next.
    at: usize,
    current: Option<Part>,
    reader: Reader,
}

/// The family that is being shown.
enum Part {
    Family {
        walk: Walk,
        /// How much was passed of what was read early.
        passed: usize,
        begun: bool,
    },
    /// The family of a collector, from this series on.
    Foreign { from: usize },
}

impl Steps {
    pub(crate) fn new(sources: Arc<Sources>, sorted: bool) -> Self {
        Self { sources, sorted, at: 0, current: None, reader: Reader::default() }
    }

    /// What is being shown.
    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    fn show_all(mut self, visitor: &mut dyn Visitor) {
        while self.step(&|_, _| true, visitor) {}
    }

    /// Shows the next series, some at a time, of families that are `wanted`; false once everything has been shown.
    pub(crate) fn step(&mut self, wanted: &dyn Fn(&str, Kind) -> bool, visitor: &mut dyn Visitor) -> bool {
        let Self { sources, reader, .. } = self;
        let Some((name, source)) = sources.families.get(self.at) else { return false };
        let more = match (&mut self.current, source) {
            (None, source) if !wanted(name, source.kind()) => false,
            (None, Source::Family(family, _)) => {
                self.current = Some(Part::Family { walk: family.walk(), passed: 0, begun: false });
                true
            }
            (Some(Part::Family { walk, passed, begun }), Source::Family(_, early)) => {
                let early = early.as_deref().map(|early| Early { read: early, passed });
                reader.show(walk, early, begun, self.sorted, visitor)
            }
            (None, Source::Foreign(shown)) => {
                shown.begin(visitor);
                self.current = Some(Part::Foreign { from: 0 });
                true
            }
            (Some(Part::Foreign { from }), Source::Foreign(shown)) => {
                *from += AT_ONCE;
                shown.show(*from - AT_ONCE, AT_ONCE, visitor)
            }
            (None, Source::Callback(callback, value)) => {
                visitor.family(&callback.core.declaration.info());
                visitor.series(Labels::new(&callback.core.const_text, ""), value);
                false
            }
            (None, Source::InternalErrors) => internal_errors(visitor),
            (None, Source::Overflowed) => overflowed(visitor),
            (None, Source::Problems(count)) => problems(*count, visitor),
            (Some(_), _) => false,
        };
        if !more {
            self.at += 1;
            self.current = None;
        }
        true
    }
}

/// What was read early of a family, in the order of its series, and how much of it has been shown.
struct Early<'a> {
    read: &'a [(Handle, counter::Total)],
    passed: &'a mut usize,
}

impl Early<'_> {
    /// The total of this series, which stands behind those that were asked for before. Those that were removed meanwhile
    /// are passed over; one that was made meanwhile stands behind all, and is at 0 as yet.
    fn total(&mut self, handle: Handle) -> counter::Total {
        let left = self.read.get(*self.passed..).unwrap_or_default();
        match left.iter().position(|(read, _)| *read == handle) {
            Some(at) => {
                *self.passed += at + 1;
                left[at].1
            }
            None => counter::Total::default(),
        }
    }
}

#[derive(Default)]
struct Reader {
    readings: Readings,
    chunk: Chunk,
    live: Vec<bool>,
}

impl Reader {
    fn read_early(&mut self, family: &Arc<FamilyCore>) -> Vec<(Handle, counter::Total)> {
        let Declaration { metric, bounds, .. } = family.declaration;
        let mut walk = family.walk();
        let mut totals = Vec::with_capacity(family.len());
        while walk.next(false, &mut self.chunk) {
            let handles = self.chunk.handles();
            (metric.read)(handles, bounds, &mut self.readings);
            totals.extend(handles.iter().copied().zip(self.readings.counters.iter().copied()));
        }
        totals
    }

    /// Shows the next series of a family; false if there were none left.
    fn show(
        &mut self,
        walk: &mut Walk,
        early: Option<Early<'_>>,
        begun: &mut bool,
        sorted: bool,
        visitor: &mut dyn Visitor,
    ) -> bool {
        let Self { readings, chunk, live } = self;
        if !walk.next(sorted, chunk) {
            return false;
        }
        let family = walk.core();
        let Declaration { metric, bounds, .. } = family.declaration;
        let handles = chunk.handles();
        match early {
            Some(mut early) => {
                readings.counters.clear();
                readings.counters.extend(handles.iter().map(|handle| early.total(*handle)));
            }
            None => (metric.read)(handles, bounds, readings),
        }
        // A series that was removed meanwhile has no value any more; 0 would look like a reset.
        (metric.are_live)(handles, live);
        let order = sorted.then(|| chunk.sorted());
        for position in 0..handles.len() {
            let at = order.as_ref().map_or(position, |order| order[position]);
            if !live[at] {
                continue;
            }
            if !mem::replace(begun, true) {
                visitor.family(&family.declaration.info());
            }
            let value = (metric.value)(readings, at);
            visitor.series(Labels::new(&family.const_text, chunk.text(at)), &value);
        }
        true
    }
}

// The families that the scrape makes itself are small: each is shown in one step.

fn overflowed(visitor: &mut dyn Visitor) -> bool {
    let mut counters = overflow::counters().into_iter().peekable();
    if counters.peek().is_none() {
        return false;
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
    false
}

fn internal_errors(visitor: &mut dyn Visitor) -> bool {
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
    false
}

fn problems(count: usize, visitor: &mut dyn Visitor) -> bool {
    visitor.family(&FamilyInfo {
        name: PROBLEMS,
        help: "Declarations that are not exported as written; the log and `Registry::check` name them.",
        kind: Kind::Gauge,
        unit: None,
    });
    visitor.series(Labels::default(), &Value::Gauge(count as f64));
    false
}

fn labelled(name: &str, value: &str, visit: impl FnOnce(Labels<'_>)) {
    let mut text = String::new();
    labels::push_pair(&mut text, 0, name, value);
    visit(Labels::new("", &text));
}

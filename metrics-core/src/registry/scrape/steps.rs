//! A scrape as it is shown: step by step, so that whoever it is shown to can take their time.

use std::mem;
use std::sync::Arc;

use super::{INTERNAL_ERRORS, OVERFLOWED, PROBLEMS, Source, Sources};
use crate::cell::{Handle, counter};
use crate::counter::number;
use crate::family::core::Walk;
use crate::family::table::Chunk;
use crate::family::{Declaration, FamilyCore, overflow};
use crate::internal::InternalError;
use crate::kind::Kind;
use crate::labels;
use crate::metric::Readings;
use crate::sample::{FamilyInfo, Labels, Number, Value, Visitor};

/// Series of a collector that are shown in one step.
const AT_ONCE: usize = 128;

/// A scrape that is being shown, some series at a time; between the steps no lock is held, and nothing has to go on.
pub(crate) struct Steps {
    sources: Sources,
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
    pub(crate) fn new(sources: Sources, sorted: bool) -> Self {
        Self { sources, sorted, at: 0, current: None, reader: Reader::default() }
    }

    /// What is being shown.
    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    pub(crate) fn show_all(mut self, visitor: &mut dyn Visitor) {
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
            (None, Source::Foreign(family)) => {
                family.shown().begin(visitor);
                self.current = Some(Part::Foreign { from: 0 });
                true
            }
            (Some(Part::Foreign { from }), Source::Foreign(family)) => {
                *from += AT_ONCE;
                family.shown().show(*from - AT_ONCE, AT_ONCE, visitor)
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
pub(crate) struct Reader {
    readings: Readings,
    chunk: Chunk,
    live: Vec<bool>,
}

impl Reader {
    pub(crate) fn read_early(&mut self, family: &Arc<FamilyCore>) -> Vec<(Handle, counter::Total)> {
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

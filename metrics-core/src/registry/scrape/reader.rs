//! Reads the series of a family chunk by chunk, either early or as they are visited. Within a chunk, thread blocks are
//! read one after another, so that memory is accessed sequentially.

use std::mem;

use super::parts::{Duplicate, OtherParts, with_duplicates};
use crate::counter;
use crate::exemplars::{self, KeptExemplar};
use crate::family::core::{EarlyTotals, Walk};
use crate::family::table::Chunk;
use crate::family::{FamilyCore, FamilyDeclaration};
use crate::kind::Kind;
use crate::labels;
use crate::metric::Readings;
use crate::sample::{Exemplar, Labels, SeriesDetails, Value, Visitor};

/// A family's early totals, and the current position in them.
pub(crate) struct Early<'a> {
    pub(crate) totals: &'a EarlyTotals,
    /// The position in the totals after the last visited series.
    pub(crate) next: &'a mut usize,
}

/// Passes a series for each state to `visitor`; `current` is the position of the current state.
fn show_states(family: &FamilyCore, text: &str, current: f64, sorted: bool, visitor: &mut impl Visitor) {
    let declaration = &family.declaration;
    let mut states: Vec<(usize, &&str)> = declaration.metric.states.iter().enumerate().collect();
    if sorted {
        states.sort_by_key(|(_, state)| **state);
    }
    for (position, state) in states {
        let mut labels = text.to_owned();
        labels::push_pair(&mut labels, 0, &declaration.name, state);
        let is_current = (position as f64 - current).abs() < 0.5;
        let value = Value::Gauge(f64::from(u8::from(is_current)));
        visitor.series(Labels::new(&family.const_text, &labels), &value);
    }
}

/// Passes the series of a chunk to `visitor`, in creation order. They have no exemplars, states or duplicates.
#[inline]
fn show_plain<'r>(
    family: &FamilyCore,
    chunk: &Chunk,
    is_shown: impl Fn(usize) -> bool,
    value: impl Fn(usize) -> Value<'r>,
    visitor: &mut impl Visitor,
) {
    for (at, text, _) in chunk.series() {
        if is_shown(at) {
            let details = SeriesDetails { exemplars: &[], created: chunk.created(at) };
            visitor.series_with_details(Labels::new(&family.const_text, text), &value(at), &details);
        }
    }
}

/// Reads chunks of series into reusable buffers.
#[derive(Default)]
pub(crate) struct Reader {
    readings: Readings,
    chunk: Chunk,
    live: Vec<bool>,
    /// The exemplars of the chunk, each with the position of its series.
    exemplars: Vec<(usize, KeptExemplar)>,
}

impl Reader {
    /// Reads the totals of the next chunk of a family. Returns false if no chunk is left.
    pub(crate) fn read_early(&mut self, walk: &mut Walk, totals: &mut EarlyTotals) -> bool {
        if !walk.next(false, &mut self.chunk) {
            return false;
        }
        let FamilyDeclaration { metric, buckets, .. } = walk.core().declaration;
        let handles = self.chunk.handles();
        (metric.read)(handles, buckets, &mut self.readings);
        totals.extend(handles.iter().copied().zip(self.readings.counters.iter().copied()));
        true
    }

    /// Passes the next chunk of a family to `visitor`. Returns false if no chunk is left.
    pub(crate) fn show(
        &mut self,
        walk: &mut Walk,
        early: Option<Early<'_>>,
        others: Option<OtherParts<'_>>,
        begun: &mut bool,
        sorted: bool,
        visitor: &mut impl Visitor,
    ) -> bool {
        let Self { readings, chunk, live, exemplars } = self;
        if !walk.next(sorted, chunk) {
            return false;
        }
        let family = walk.core();
        let FamilyDeclaration { metric, buckets, .. } = family.declaration;
        family.declaration.keep_windows();
        let handles = chunk.handles();
        // Exemplars are read before the values, so that their events are counted.
        exemplars.clear();
        if matches!(metric.kind, Kind::Counter | Kind::Histogram) {
            exemplars::read(handles, exemplars);
        }
        match early {
            Some(Early { totals, next }) => {
                readings.counters.clear();
                readings.counters.extend(handles.iter().map(|handle| totals.find(*handle, next)));
            }
            None => (metric.read)(handles, buckets, readings),
        }
        // Series that were removed concurrently are skipped, because a value of 0 would look like a reset. The label
        // sets of an info are facts, which were true when the scrape read them.
        let has_removals = metric.kind != Kind::Info && walk.has_removals();
        if has_removals {
            (metric.are_live)(handles, live);
        }
        if !sorted && others.is_none() && exemplars.is_empty() && metric.states.is_empty() {
            let is_shown = |at: usize| !has_removals || live[at];
            if chunk.series().any(|(at, ..)| is_shown(at)) && !mem::replace(begun, true) {
                visitor.family(&family.declaration.info());
            }
            // Counters are the most common type, and `metric.value` is not inlined.
            if metric.kind == Kind::Counter {
                show_plain(family, chunk, is_shown, |at| counter::value(readings, at), visitor);
            } else {
                show_plain(family, chunk, is_shown, |at| (metric.value)(readings, at), visitor);
            }
            return true;
        }
        let order = sorted.then(|| chunk.sorted());
        for position in 0..handles.len() {
            let at = order.as_ref().map_or(position, |order| order[position]);
            if handles[at].is_none() || has_removals && !live[at] {
                continue;
            }
            let text = chunk.text(at);
            let Some(duplicates) = others.map_or_else(|| Some(Vec::new()), |others| others.duplicates(text)) else {
                continue;
            };
            if !mem::replace(begun, true) {
                visitor.family(&family.declaration.info());
            }
            let value = (metric.value)(readings, at);
            if let (Value::Gauge(current), [_, ..]) = (&value, metric.states) {
                show_states(family, text, *current, sorted, visitor);
                continue;
            }
            // A closure, because copying labels that were just written would stall the processor.
            let labels = || Labels::new(&family.const_text, text);
            let mut details = SeriesDetails { exemplars: &[], created: chunk.created(at) };
            if exemplars.is_empty() && duplicates.is_empty() {
                visitor.series_with_details(labels(), &value, &details);
                continue;
            }
            let first = exemplars.partition_point(|(position, _)| *position < at);
            let end = exemplars.partition_point(|(position, _)| *position <= at);
            let shown: Vec<Exemplar<'_>> = exemplars[first..end].iter().map(|(_, kept)| kept.show()).collect();
            details.exemplars = &shown;
            details.created = details.created.into_iter().chain(duplicates.iter().filter_map(Duplicate::created)).min();
            with_duplicates(&value, &duplicates, &mut |value| visitor.series_with_details(labels(), value, &details));
        }
        true
    }
}

//! A scrape in progress, which advances step by step at the pace of its client.
//!
//! A call records its latency before its exception. A scrape that reads exceptions before latencies therefore never
//! reports more exceptions than calls. With the default names, name order ensures this, because `_exceptions_total`
//! sorts before `_latency_seconds`. If name order does not ensure it for a family, the first steps read that family's
//! totals and keep them until the scrape reaches the family.

use super::own_families;
use super::parts::{FamilyPart, OtherParts};
use super::reader::{Early, Reader};
use super::sources::{FamilySource, Sources};
use crate::family::core::{EarlyTotals, Walk};
use crate::kind::Kind;
use crate::sample::{Labels, Visitor};

/// The maximum number of series from a collector to visit in one step.
const AT_ONCE: usize = 128;

/// A scrape in progress. It holds no lock between steps, so it may be paused or dropped between any two of them.
pub(crate) struct Steps {
    sources: Sources,
    sorted: bool,
    /// The remaining parts to read early, as pairs of family and part positions. The next part to read is last.
    unread: Vec<(usize, usize)>,
    /// The progress within the part that is being read early.
    early_walk: Option<Walk>,
    /// The position of the current family.
    at: usize,
    /// The progress within the current family; `None` before the family's first step.
    current: Option<CursorState>,
    reader: Reader,
}

/// The progress within the current family.
enum CursorState {
    Family {
        /// The position of the current part.
        part: usize,
        walk: Walk,
        /// The position in the totals that were read early.
        next: usize,
        /// True once the family has been passed to the visitor.
        begun: bool,
    },
    /// A family from a collector. The next series to visit is at position `from`.
    Collected { from: usize },
}

impl Steps {
    pub(crate) fn new(sources: Sources, sorted: bool) -> Self {
        let unread = sources.marked_early();
        Self { sources, sorted, unread, early_walk: None, at: 0, current: None, reader: Reader::default() }
    }

    /// Returns the sources of the scrape.
    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    pub(crate) fn show_all(mut self, mut visitor: &mut dyn Visitor) {
        while self.step(&|_, _| true, &mut visitor) {}
    }

    /// Runs one step, which may pass series of a `wanted` family to `visitor`. Returns false if no steps are left.
    pub(crate) fn step(&mut self, wanted: &dyn Fn(&str, Kind) -> bool, visitor: &mut impl Visitor) -> bool {
        if self.read_early() {
            return true;
        }
        let Self { sources, reader, .. } = self;
        let Some((name, source)) = sources.families.get(self.at) else { return false };
        let more = match (&mut self.current, source) {
            (None, source) if !wanted(name, source.kind()) => false,
            (None, FamilySource::Family(parts)) => {
                let first = parts.first().map(|part| part.core.walk());
                self.current = first.map(|walk| CursorState::Family { part: 0, walk, next: 0, begun: false });
                self.current.is_some()
            }
            (Some(CursorState::Family { part, walk, next, begun }), FamilySource::Family(parts)) => {
                let early = parts.get(*part).and_then(FamilyPart::early);
                let early = early.map(|totals| Early { totals, next: &mut *next });
                let others = OtherParts::of(parts, *part);
                let more = reader.show(walk, early, others, begun, self.sorted, visitor);
                match parts.get(*part + 1) {
                    Some(following) if !more => {
                        (*part, *next) = (*part + 1, 0);
                        *walk = following.core.walk();
                        true
                    }
                    _ => more,
                }
            }
            (None, FamilySource::Collected(family)) => {
                family.shown().begin(visitor);
                self.current = Some(CursorState::Collected { from: 0 });
                true
            }
            (Some(CursorState::Collected { from }), FamilySource::Collected(family)) => {
                *from += AT_ONCE;
                family.shown().show(*from - AT_ONCE, AT_ONCE, visitor)
            }
            (None, FamilySource::Callback(callback, value)) => {
                visitor.family(&callback.core.declaration.info());
                visitor.series(Labels::new(&callback.core.const_text, ""), value);
                false
            }
            (None, FamilySource::InternalErrors) => own_families::internal_errors(visitor),
            (None, FamilySource::Overflowed) => own_families::overflowed(visitor),
            (None, FamilySource::Problems(count)) => own_families::problems(*count, visitor),
            (Some(_), _) => false,
        };
        if !more {
            self.at += 1;
            self.current = None;
        }
        true
    }

    /// Reads the next chunk of the parts that must be read early. Returns false once all of these parts have been read.
    fn read_early(&mut self) -> bool {
        while let Some((family, position)) = self.unread.last() {
            if let Some((_, FamilySource::Family(parts))) = self.sources.families.get_mut(*family)
                && let Some(part) = parts.get_mut(*position)
            {
                let walk = self.early_walk.get_or_insert_with(|| part.core.walk());
                let totals = part.early.get_or_insert_with(|| EarlyTotals::with_capacity(part.core.len()));
                if self.reader.read_early(walk, totals) {
                    return true;
                }
            }
            self.early_walk = None;
            self.unread.pop();
        }
        false
    }
}

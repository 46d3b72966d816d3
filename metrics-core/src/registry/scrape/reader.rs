//! Reads the series of a family chunk by chunk, or all of them early. Within a chunk, blocks are read one after
//! another, so that memory is accessed sequentially.

use std::mem;
use std::sync::Arc;

use super::parts::{OtherParts, with_duplicates};
use crate::cell::{Handle, counter};
use crate::family::core::{EarlyTotals, Walk};
use crate::family::table::Chunk;
use crate::family::{FamilyCore, FamilyDeclaration};
use crate::metric::Readings;
use crate::sample::{Labels, Visitor};

/// The totals of a family that were read early, in the order of its series, and how many of them have been shown.
pub(crate) struct Early<'a> {
    pub(crate) read: &'a [(Handle, counter::Total)],
    pub(crate) passed: &'a mut usize,
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
    pub(crate) fn read_early(&mut self, family: &Arc<FamilyCore>) -> EarlyTotals {
        let FamilyDeclaration { metric, bounds, .. } = family.declaration;
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
    pub(crate) fn show(
        &mut self,
        walk: &mut Walk,
        early: Option<Early<'_>>,
        others: Option<OtherParts<'_>>,
        begun: &mut bool,
        sorted: bool,
        visitor: &mut dyn Visitor,
    ) -> bool {
        let Self { readings, chunk, live } = self;
        if !walk.next(sorted, chunk) {
            return false;
        }
        let family = walk.core();
        let FamilyDeclaration { metric, bounds, .. } = family.declaration;
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
            let duplicates = match others.map(|others| others.duplicates(chunk.text(at))) {
                Some(None) => continue,
                Some(Some(duplicates)) => duplicates,
                None => Vec::new(),
            };
            if !mem::replace(begun, true) {
                visitor.family(&family.declaration.info());
            }
            let value = (metric.value)(readings, at);
            let labels = Labels::new(&family.const_text, chunk.text(at));
            with_duplicates(&value, &duplicates, &mut |value| visitor.series(labels, value));
        }
        true
    }
}

//! Totals of a counter family that were read before the scrape reached the family.
//!
//! The scrape looks up the series in the order in which they were read, so the next total nearly always matches. It may
//! not match if series were created or removed since then. The first mismatch builds an index, which serves that lookup
//! and all later mismatches.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::cell::{Handle, counter};

/// The total of each series, in the order of the table.
#[derive(Default)]
pub(crate) struct EarlyTotals {
    totals: Vec<(Handle, counter::Total)>,
    index: OnceLock<HashMap<Handle, usize, foldhash::fast::RandomState>>,
}

impl EarlyTotals {
    pub(crate) fn with_capacity(series: usize) -> Self {
        Self { totals: Vec::with_capacity(series), index: OnceLock::new() }
    }

    /// Appends the totals of a chunk's entries.
    pub(crate) fn extend(&mut self, totals: impl Iterator<Item = (Handle, counter::Total)>) {
        self.totals.extend(totals.filter(|(handle, _)| !handle.is_none()));
    }

    /// Returns the total of a series, or 0 if it was created later or removed. `next` is the position after the last
    /// series found.
    pub(crate) fn find(&self, handle: Handle, next: &mut usize) -> counter::Total {
        if handle.is_none() {
            return counter::Total::default();
        }
        let found = match self.totals.get(*next) {
            Some((expected, _)) if *expected == handle => Some(*next),
            _ => self.index().get(&handle).copied(),
        };
        let Some((position, (_, total))) = found.and_then(|at| Some((at, self.totals.get(at)?))) else {
            return counter::Total::default();
        };
        *next = position + 1;
        *total
    }

    /// Returns the index, building it on the first call, which takes about 30 ms for a million series.
    fn index(&self) -> &HashMap<Handle, usize, foldhash::fast::RandomState> {
        self.index.get_or_init(|| self.totals.iter().enumerate().map(|(at, (handle, _))| (*handle, at)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(n: u64) -> counter::Total {
        counter::Total { whole: n, ..counter::Total::default() }
    }

    #[test]
    fn series_are_found_in_any_order_and_new_ones_are_at_0() {
        let handles: Vec<Handle> = (0..10).map(|_| counter::allocate().expect("a slot")).collect();
        let mut totals = EarlyTotals::default();
        totals.extend(handles[..8].iter().copied().zip((1..).map(whole)));
        let mut next = 0;
        let mut find = |at: usize| totals.find(handles[at], &mut next).whole;
        assert_eq!([0, 1, 2].map(&mut find), [1, 2, 3]);
        assert!(totals.index.get().is_none(), "lookups in reading order build no index");
        // The series at 3 and 4 were removed; the last two were created later.
        let mut find = |at: usize| totals.find(handles[at], &mut next).whole;
        assert_eq!([5, 6, 8, 7, 9, 0].map(&mut find), [6, 7, 0, 8, 0, 1]);
    }
}

//! An iteration over a family's series in chunks of at most 128. The family's lock is not held between chunks.
//!
//! A walk pauses while the client of the scrape is not reading. A compaction of the table adjusts the position of each
//! walk in progress. A walk ends at the position where the table ended when its first chunk was copied, so a series
//! that is removed and recreated during the walk is not visited twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{CHUNK, FamilyCore};
use crate::cell::access;
use crate::family::table::{Chunk, Compaction};
use crate::lock::lock;

/// An iteration over a family's series. Dropping the `Walk` ends it.
pub(crate) struct Walk {
    core: Arc<FamilyCore>,
    position: Arc<WalkPosition>,
    /// The family's epoch when the last chunk was copied.
    epoch: u64,
}

/// A walk's position in the table. Walks change it under the table's read lock, and compactions under its write lock.
pub(super) struct WalkPosition {
    /// The position of the next series; `NONE` once the walk has ended.
    next: AtomicUsize,
    /// The position after the last series; `NONE` until the first chunk is copied.
    end: AtomicUsize,
}

const NONE: usize = usize::MAX;

impl WalkPosition {
    /// Ends the walk because the table has been cleared. If the walk has not copied a chunk yet, it continues and
    /// visits the series of the new table.
    pub(super) fn end(&self) {
        if self.end.load(Ordering::Relaxed) != NONE {
            self.next.store(NONE, Ordering::Relaxed);
        }
    }

    /// Adjusts the position after a compaction has moved the series.
    pub(super) fn follow(&self, compaction: &Compaction) {
        for position in [&self.next, &self.end] {
            let old = position.load(Ordering::Relaxed);
            if old != NONE {
                position.store(compaction.moved(old), Ordering::Relaxed);
            }
        }
    }
}

impl FamilyCore {
    /// Begins a walk over the series that exist when the first chunk is copied.
    pub(crate) fn walk(self: &Arc<Self>) -> Walk {
        let position = Arc::new(WalkPosition { next: AtomicUsize::new(0), end: AtomicUsize::new(NONE) });
        lock(&self.shared.0.walks).push(Arc::clone(&position));
        Walk { core: Arc::clone(self), position, epoch: 0 }
    }
}

impl Walk {
    /// The family whose series are visited.
    pub(crate) fn core(&self) -> &FamilyCore {
        &self.core
    }

    /// Copies the next chunk of series, or all remaining ones if `at_once`, into `chunk`, in creation order.
    ///
    /// Returns false if the walk has ended.
    pub(crate) fn next(&mut self, at_once: bool, chunk: &mut Chunk) -> bool {
        let most = if at_once { usize::MAX } else { CHUNK };
        let table = self.core.read();
        let next = self.position.next.load(Ordering::Relaxed);
        if next == NONE {
            return false;
        }
        let mut end = self.position.end.load(Ordering::Relaxed);
        if end == NONE {
            end = table.end();
            self.position.end.store(end, Ordering::Relaxed);
        }
        let after = table.copy(next, end, most, chunk);
        self.position.next.store(after.unwrap_or(NONE), Ordering::Relaxed);
        self.epoch = self.core.epoch();
        true
    }

    /// Returns true if series may have been removed since the last chunk was copied. If it returns false, values that
    /// were read before belong to the series of the chunk.
    pub(crate) fn has_removals(&self) -> bool {
        access::end_reads();
        self.core.epoch() != self.epoch
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        lock(&self.core.shared.0.walks).retain(|position| !Arc::ptr_eq(position, &self.position));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Counter, Family};

    #[test]
    fn a_walk_notices_removals_after_its_last_chunk() {
        let family: Family<Counter, 1> = Counter::builder("noticed_total", "").labels(["n"]).build();
        family.labels(["1"]);
        family.labels(["2"]);
        let (mut walk, mut chunk) = (family.core.walk(), Chunk::default());
        assert!(walk.next(false, &mut chunk));
        family.labels(["3"]);
        assert!(!walk.has_removals());
        assert!(family.remove(["1"]));
        assert!(walk.has_removals());
        let mut next = family.core.walk();
        assert!(next.next(false, &mut chunk));
        assert_eq!(chunk.series().map(|(_, text, _)| text).collect::<Vec<_>>(), [r#"n="2""#, r#"n="3""#]);
        assert!(!next.has_removals());
        family.core.clear();
        assert!(next.has_removals());
    }

    #[test]
    fn a_walk_keeps_its_position_when_series_are_removed() {
        let family: Family<Counter, 1> = Counter::builder("walked_total", "").labels(["n"]).build();
        for n in 0..1_000 {
            family.labels([&n.to_string()]);
        }
        let mut walk = family.core.walk();
        let mut chunk = Chunk::default();
        let mut seen: Vec<String> = Vec::new();
        let mut removed = 0..1_000;
        while walk.next(false, &mut chunk) {
            seen.extend(chunk.series().map(|(_, text, _)| text.to_owned()));
            // Remove series before and after the position (eventually nearly all of them), and create new ones.
            for n in removed.by_ref().take(130).filter(|n| n % 10 != 0) {
                assert!(family.remove([&n.to_string()]));
                family.labels([&format!("new {n}")]);
                family.remove([&format!("new {n}")]);
            }
        }
        for n in (0..1_000).step_by(10) {
            let text = format!("n=\"{n}\"");
            assert_eq!(seen.iter().filter(|seen| **seen == text).count(), 1, "{text}");
        }
        assert!(!seen.iter().any(|seen| seen.contains("new")));
        assert!(family.core.read().end() < 400, "{} entries remain", family.core.read().end());
    }
}

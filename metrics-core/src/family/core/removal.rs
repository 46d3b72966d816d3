//! The removal of series from a family.
//!
//! Removing a series changes the family's epoch before the table's lock is released, so that no thread finds an old
//! handle in the new epoch.

use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::{FamilyCore, is_overlong};
use crate::cache;
use crate::exposure::EXPOSURE;
use crate::family::FamilyDeclaration;
use crate::family::table::{Compaction, SeriesTable, is_overflow};
use crate::internal::InternalError;
use crate::labels::OVERFLOW;
use crate::lock::lock;

impl FamilyCore {
    /// Removes one series. Returns false if it does not exist.
    pub(crate) fn remove(&self, values: &[&str]) -> bool {
        let mut table = self.write();
        let Some(handle) = table.remove(&self.declaration.label_names, values) else { return false };
        let compaction = self.after_removal(&mut table);
        drop(table);
        drop(compaction);
        (self.declaration.metric.free)(handle, self.declaration.buckets);
        if is_overflow(values) {
            self.reserve_overflow(&mut self.write());
        }
        true
    }

    /// Replaces all series with the one with these values. Label sets that are too long become the overflow series.
    pub(crate) fn replace_all(&self, values: &[&str]) {
        let overflow;
        let values = if is_overlong(values) {
            overflow = vec![OVERFLOW; values.len()];
            &overflow
        } else {
            values
        };
        EXPOSURE.check();
        let FamilyDeclaration { metric, buckets, label_names, name, .. } = &self.declaration;
        let now = SystemTime::now();
        let mut table = self.write();
        let kept = table.find(label_names, values).or_else(|| self.create(&mut table, values, now));
        let Some(kept) = kept else {
            drop(table);
            InternalError::SeriesSlotsExhausted.record(name);
            return;
        };
        let removed = table.remove_others(kept);
        if removed.is_empty() {
            return;
        }
        let compaction = self.after_removal(&mut table);
        drop(table);
        drop(compaction);
        for handle in removed {
            (metric.free)(handle, *buckets);
        }
        self.reserve_overflow(&mut self.write());
    }

    pub(crate) fn clear(&self) {
        self.remove_all();
        self.reserve_overflow(&mut self.write());
    }

    /// Removes all series, and keeps the slot that is reserved for the overflow series.
    pub(super) fn remove_all(&self) {
        let empty = SeriesTable::new(self.hasher.clone(), &self.declaration.label_names);
        let cleared = {
            let mut table = self.write();
            let reserved = table.take_reserved();
            let cleared = std::mem::replace(&mut *table, empty);
            if let Some(slot) = reserved {
                table.reserve_overflow(slot);
            }
            for position in lock(&self.shared.0.walks).iter() {
                position.end();
            }
            self.start_epoch();
            cleared
        };
        // Freed without holding the lock, because there may be millions of series. Until then, old handles still write
        // to their series.
        for handle in cleared.handles() {
            (self.declaration.metric.free)(handle, self.declaration.buckets);
        }
    }

    /// Changes the epochs of this family and of all functions that record into it. The caller holds the table's lock
    /// and frees the removed series afterward, so that a scrape can rely on an unchanged epoch.
    fn start_epoch(&self) {
        self.full.0.invalidate();
        self.epoch.store(cache::new_epoch(), Ordering::Release);
        for dependent in lock(&self.dependents).iter().filter_map(Weak::upgrade) {
            dependent.invalidate();
        }
    }

    /// Starts a new epoch and compacts the table if necessary. The epoch changes before the table's lock is released,
    /// so that no thread finds an old handle in the new epoch. The caller drops the compaction after releasing the
    /// lock.
    fn after_removal(&self, table: &mut SeriesTable) -> Option<Compaction> {
        self.start_epoch();
        let compaction = if table.wants_compaction() { table.compact() } else { None }?;
        for position in lock(&self.shared.0.walks).iter() {
            position.follow(&compaction);
        }
        Some(compaction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Counter, Family};

    #[test]
    fn a_removed_overflow_series_leaves_a_slot_for_the_next_one() {
        let family: Family<Counter, 1> = Counter::builder("next_total", "").labels(["n"]).build();
        let core = &family.core;
        let next = || {
            let slot = core.write().take_reserved()?;
            core.write().reserve_overflow(slot);
            Some(slot)
        };
        let first = next().expect("a slot");
        assert_eq!((core.overflow(), next()), (first, None));
        core.clear();
        let second = next().expect("a slot");
        core.clear();
        assert_eq!(next(), Some(second), "an unused slot is kept");
        assert_eq!((core.overflow(), next()), (second, None));
        assert!(core.remove(&[OVERFLOW]));
        let third = next().expect("a slot");
        assert_eq!((core.overflow(), next()), (third, None));
        core.replace_all(&["other"]);
        assert!(next().is_some());
    }
}

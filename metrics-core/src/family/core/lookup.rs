//! The lookup of a label set in a family, which creates the series if the cap allows it.

use std::time::SystemTime;

use super::{FamilyCore, is_overlong};
use crate::cache;
use crate::cell::{Handle, counter};
use crate::exposure::EXPOSURE;
use crate::family::FamilyDeclaration;
use crate::family::table::{self, SeriesTable, is_overflow};
use crate::internal::InternalError;
use crate::label_value::Label;
use crate::labels::OVERFLOW;

/// The result of looking up a label set without creating it.
pub(crate) enum Found {
    Series(Handle),
    /// The label set is new, and the family has room for it.
    Nothing,
    /// The label set is new or too long, and the family has no room for it.
    NoRoom,
}

impl FamilyCore {
    /// Like [`FamilyCore::resolve`], but needs no lookup if all labels have closed sets of values.
    #[inline]
    pub(crate) fn resolve_labels<const N: usize>(&self, labels: &[Label<'_>; N]) -> Handle {
        let values: [&str; N] = std::array::from_fn(|at| labels[at].as_str());
        let Some(fixed) = self.dense.as_ref().and_then(|dense| dense.find(labels)) else {
            return self.resolve(&values);
        };
        let epoch = self.epoch();
        if let Some([handle]) = fixed.get(epoch) {
            return handle;
        }
        let (handle, within_cap) = self.find_or_create(&values);
        if within_cap {
            fixed.set(epoch, [handle]);
        }
        handle
    }

    /// Finds or creates the series with these values, one per label, or falls back to the overflow series.
    ///
    /// Compiled for each number of labels, so that the loops over the values are unrolled.
    #[inline(never)]
    pub(crate) fn resolve<const N: usize>(&self, values: &[&str; N]) -> Handle {
        let epoch = self.epoch();
        let found = match values.as_slice() {
            [value] => cache::get_one_first_level(&self.cache, epoch, value.as_bytes()),
            values => cache::get_first_level(&self.cache, epoch, values),
        };
        match (found, values.as_slice()) {
            (Some([handle]), _) => handle,
            (None, [value]) => self.resolve_one_slowly(epoch, value),
            (None, values) => self.resolve_second_level(epoch, values),
        }
    }

    /// Like [`FamilyCore::resolve`], for a single value that is not in the first level, or too long to be found there
    /// quickly.
    #[inline(never)]
    fn resolve_one_slowly(&self, epoch: u64, value: &str) -> Handle {
        match cache::get_first_level(&self.cache, epoch, &[value]) {
            Some([handle]) => handle,
            None => self.resolve_second_level(epoch, &[value]),
        }
    }

    #[inline(never)]
    fn resolve_second_level(&self, epoch: u64, values: &[&str]) -> Handle {
        match cache::get_second_level(&self.cache, epoch, values) {
            Some([handle]) => handle,
            None => self.resolve_shared(epoch, values),
        }
    }

    fn resolve_shared(&self, epoch: u64, values: &[&str]) -> Handle {
        let (handle, within_cap) = self.find_or_create(values);
        if within_cap {
            cache::insert(&self.cache, epoch, values, [handle]);
        }
        handle
    }

    /// Like [`FamilyCore::resolve`], but skips the cache. The flag is false after a fallback to the overflow series.
    pub(crate) fn find_or_create(&self, values: &[&str]) -> (Handle, bool) {
        match self.within_cap(values) {
            Some(handle) => (handle, true),
            None => (self.overflow(), false),
        }
    }

    /// Like [`FamilyCore::resolve`], but returns `None` instead of the overflow series.
    pub(crate) fn resolve_within_cap(&self, values: &[&str]) -> Option<Handle> {
        match self.look_up_cached(values) {
            Found::Series(handle) => Some(handle),
            // Cached by the next lookup.
            Found::Nothing => self.create_up_to(values, true),
            Found::NoRoom => None,
        }
    }

    /// Like [`FamilyCore::resolve`], but creates no series.
    pub(crate) fn look_up_cached(&self, values: &[&str]) -> Found {
        let epoch = self.epoch();
        if let Some([handle]) = cache::get(&self.cache, epoch, values) {
            return Found::Series(handle);
        }
        let found = self.look_up(values, true);
        if let Found::Series(handle) = found {
            cache::insert(&self.cache, epoch, values, [handle]);
        }
        found
    }

    /// Returns the handle for these values, creating the series if the cap allows it.
    #[inline]
    pub(crate) fn within_cap(&self, values: &[&str]) -> Option<Handle> {
        self.find_or_create_up_to(values, true)
    }

    /// Like [`FamilyCore::within_cap`], for values that are part of the program and therefore exempt from the cap.
    pub(crate) fn exempt_from_cap(&self, values: &[&str]) -> Option<Handle> {
        self.find_or_create_up_to(values, false)
    }

    /// Returns the overflow series, and counts one overflowed lookup. Returns [`Handle::NONE`] if no slot or memory is
    /// available for the overflow series.
    pub(crate) fn overflow(&self) -> Handle {
        counter::add_whole(self.overflow_counter(), 1);
        let epoch = self.epoch();
        self.overflow.get(epoch).map_or_else(|| self.find_overflow(epoch), |[handle]| handle)
    }

    #[cold]
    fn find_overflow(&self, epoch: u64) -> Handle {
        let few = [OVERFLOW; 8];
        let many;
        let values = match few.get(..self.declaration.label_names.len()) {
            Some(values) => values,
            None => {
                many = vec![OVERFLOW; self.declaration.label_names.len()];
                &many
            }
        };
        let Some(handle) = self.find_or_create_up_to(values, false) else { return Handle::NONE };
        self.overflow.set(epoch, [handle]);
        handle
    }

    /// Finds the series, or creates it if the cap allows it. Series created without a cap do not count toward the cap.
    #[inline]
    pub(crate) fn find_or_create_up_to(&self, values: &[&str], is_capped: bool) -> Option<Handle> {
        match self.look_up(values, is_capped) {
            Found::Series(handle) => Some(handle),
            Found::Nothing => self.create_up_to(values, is_capped),
            Found::NoRoom => None,
        }
    }

    /// Finds the series, or determines whether the family has room for it.
    #[inline]
    pub(crate) fn look_up(&self, values: &[&str], is_capped: bool) -> Found {
        if is_overlong(values) || is_capped && self.full.0.excludes(|| table::hash(&self.hasher, values)) {
            return Found::NoRoom;
        }
        let table = self.read();
        if let Some(handle) = table.find(&self.declaration.label_names, values) {
            return Found::Series(handle);
        }
        if !self.is_full(&table, is_capped) {
            return Found::Nothing;
        }
        let len = table.len();
        drop(table);
        if self.full.0.is_due(len) {
            self.fill_filter(len);
        }
        Found::NoRoom
    }

    /// Returns true if the cap allows no more series.
    #[inline]
    fn is_full(&self, table: &SeriesTable, is_capped: bool) -> bool {
        is_capped && table.capped_len() >= self.max_series()
    }

    /// Creates the series if the cap allows it. Also returns the handle if another thread creates the series
    /// concurrently.
    #[cold]
    #[inline(never)]
    fn create_up_to(&self, values: &[&str], is_capped: bool) -> Option<Handle> {
        let label_names = &self.declaration.label_names;
        EXPOSURE.check();
        let now = SystemTime::now();
        let mut table = self.write();
        if let Some(handle) = table.find(label_names, values) {
            return Some(handle);
        }
        if self.is_full(&table, is_capped) {
            return None;
        }
        let created = self.create(&mut table, values, now);
        if let Some(handle) = created.filter(|_| !is_capped || is_overflow(values)) {
            table.exempt(handle);
        }
        if created.is_some() {
            // There may have been no memory for it before.
            self.reserve_overflow(&mut table);
        }
        drop(table);
        match created {
            Some(_) => self.declaration.keep_windows(),
            None => InternalError::SeriesSlotsExhausted.record(&self.declaration.name),
        }
        created
    }

    /// Fills the filter if the family is full.
    #[cold]
    #[inline(never)]
    fn fill_filter(&self, len: usize) {
        self.full.0.allocate(len.max(self.max_series()));
        let table = self.read();
        if table.capped_len() >= self.max_series() {
            self.full.0.fill(table.hashes());
        }
    }

    /// Creates a series that is not in the table. Returns `None` if no slot or memory is available, or if the labels do
    /// not fit into the table.
    pub(super) fn create(&self, table: &mut SeriesTable, values: &[&str], now: SystemTime) -> Option<Handle> {
        let FamilyDeclaration { metric, buckets, label_names, .. } = &self.declaration;
        let is_overflow = is_overflow(values);
        let reserved = if is_overflow { table.take_reserved() } else { None };
        let handle = reserved.or_else(|| (metric.allocate)(*buckets))?;
        if table.insert(label_names, values, handle, now) {
            self.full.0.add(|| table::hash(&self.hasher, values));
            return Some(handle);
        }
        if is_overflow {
            table.reserve_overflow(handle);
        } else {
            (metric.free)(handle, *buckets);
        }
        None
    }

    /// Reserves a slot and room for the overflow series, unless the family has no labels, or has them already.
    pub(super) fn reserve_overflow(&self, table: &mut SeriesTable) {
        let FamilyDeclaration { metric, buckets, label_names, .. } = &self.declaration;
        if !label_names.is_empty()
            && table.wants_overflow_slot()
            && let Some(slot) = (metric.allocate)(*buckets)
        {
            table.reserve_overflow(slot);
        }
    }
}

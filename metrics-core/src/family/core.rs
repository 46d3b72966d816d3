//! The type-erased part of a family: its declaration, its series, and the lookup from label values to handles.
//!
//! Removing a series changes the family's epoch before the table's lock is released, so that no thread finds an old
//! handle in the new epoch. A scrape copies 128 series at a time under the lock. A new label set waits longer only while the
//! table grows or is compacted (see [`table`](super::table)), or is copied as a whole: sorted, or when the family is
//! marked to be read early. State that is written by scrapes and by series creation is on separate cache lines from state
//! that every lookup reads.

mod early;
mod walk;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::FamilyDeclaration;
use super::table::{Chunk, Compaction, SeriesTable};
use crate::cache::{self, CacheId, Dense, Fixed};
use crate::cell::{Handle, counter};
use crate::exposure::EXPOSURE;
use crate::internal::InternalError;
use crate::label_value::Label;
use crate::labels::{self, MAX_VALUE_LEN, OVERFLOW};
use crate::lock::lock;
use crate::metric::{Readings, SeriesOwner};

pub(crate) use early::EarlyTotals;
pub(crate) use walk::Walk;
use walk::WalkPosition;

/// The cap of a family whose builder names none.
pub(crate) const DEFAULT_MAX_SERIES: usize = 2_000;
/// Series that are copied under one hold of the family's lock.
const CHUNK: usize = 128;

/// A family's declaration and series.
pub struct FamilyCore {
    pub(crate) declaration: FamilyDeclaration,
    /// The constant labels as text, those of the registry included once it is registered.
    pub(crate) const_text: String,
    max_series: AtomicUsize,
    /// Changes when a series is removed: what was looked up in an earlier epoch must be looked up again.
    epoch: AtomicU64,
    cache: CacheId,
    /// The handle of each label set, where those are closed sets.
    dense: Option<Dense<1>>,
    /// Counts the label sets that went to the overflow series; made when it is first needed or exported.
    overflowed: OnceLock<Handle>,
    /// The handle of the overflow series.
    overflow: Fixed<1>,
    /// Label values that later declarations and annotated functions know, by the position of the label.
    known_values: Mutex<BTreeMap<usize, Vec<String>>>,
    /// Set if scrapes read this family before all others, to the totals at the time when it was marked.
    read_early: OnceLock<EarlyTotals>,
    shared: CachePadded<Shared>,
}

/// What scrapes and the makers of series write to.
#[derive(Default)]
struct Shared {
    table: RwLock<SeriesTable>,
    /// Where the walks stand that are under way.
    walks: Mutex<Vec<Arc<WalkPosition>>>,
}

/// Stands on cache lines of its own: writing to it disturbs nobody who reads what stands beside it.
#[derive(Default)]
#[repr(align(128))]
struct CachePadded<T>(T);

impl FamilyCore {
    /// A family that no registry knows. A family without labels has its one series from the start.
    pub(crate) fn new(declaration: FamilyDeclaration, max_series: usize) -> Self {
        let mut const_text = String::new();
        for (name, value) in &declaration.const_labels {
            labels::push_pair(&mut const_text, 0, name, value);
        }
        let sets: Option<Vec<_>> = declaration.label_values.iter().copied().collect();
        let core = Self {
            dense: sets.and_then(|sets| Dense::new(sets, max_series)),
            declaration,
            const_text,
            max_series: AtomicUsize::new(max_series),
            epoch: AtomicU64::new(cache::new_epoch()),
            cache: CacheId::new(),
            overflowed: OnceLock::new(),
            overflow: Fixed::new(),
            known_values: Mutex::default(),
            read_early: OnceLock::new(),
            shared: CachePadded::default(),
        };
        if core.declaration.label_names.is_empty() {
            core.resolve(&[]);
        }
        core.create_closed(&core);
        core
    }

    /// Takes over what `given`, which was declared as the same family, knows more: its closed label sets and its cap.
    pub(crate) fn adopt(&self, given: &Self) {
        self.max_series.fetch_max(given.max_series(), Ordering::Relaxed);
        let label_values = &given.declaration.label_values;
        if *label_values == self.declaration.label_values {
            return;
        }
        for (position, values) in label_values.iter().enumerate() {
            self.know_values(position, values.iter().copied().flatten().map(|value| (*value).to_owned()));
        }
        self.create_closed(given);
    }

    /// Creates the series of all combinations of `declared`'s closed label sets, at 0.
    fn create_closed(&self, declared: &Self) {
        if let Some(dense) = &declared.dense {
            dense.for_each(|values| {
                self.within_cap(values);
            });
        }
    }

    /// As [`FamilyCore::resolve`]; where all labels are of closed sets, without a look-up.
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

    /// The cap on series.
    pub(crate) fn max_series(&self) -> usize {
        self.max_series.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Notes values of the label at this position that are known before their first use.
    pub(crate) fn know_values(&self, position: usize, values: impl IntoIterator<Item = String>) {
        let mut known = lock(&self.known_values);
        let known = known.entry(position).or_default();
        for value in values {
            if !known.contains(&value) {
                known.push(value);
            }
        }
    }

    /// The values of the label at this position that are known: those it was declared with, then those noted later.
    pub(crate) fn known_values(&self, position: usize) -> Vec<String> {
        let declared = self.declaration.label_values.get(position).copied().flatten().unwrap_or_default();
        let mut values: Vec<String> = declared.iter().map(|value| (*value).to_owned()).collect();
        if let Some(noted) = lock(&self.known_values).get(&position) {
            values.extend(noted.iter().filter(|value| !declared.contains(&value.as_str())).cloned());
        }
        values
    }

    /// The totals when [`SeriesOwner::mark_read_early`] was first called; `None` if it was not.
    ///
    /// A scrape that was in progress at that time shows them instead of the present totals. It may have read the latency
    /// already, and the calls that the family has counted since are not in it.
    pub(crate) fn totals_when_marked(&self) -> Option<&EarlyTotals> {
        self.read_early.get()
    }

    /// The handle for these values, which are as many as the family's labels; created, or the overflow series.
    pub(crate) fn resolve(&self, values: &[&str]) -> Handle {
        let epoch = self.epoch();
        match cache::get_first_level(&self.cache, epoch, values) {
            Some([handle]) => handle,
            None => self.resolve_second_level(epoch, values),
        }
    }

    fn resolve_second_level(&self, epoch: u64, values: &[&str]) -> Handle {
        match cache::get_second_level(&self.cache, epoch, values) {
            Some([handle]) => handle,
            None => self.resolve_shared(epoch, values),
        }
    }

    #[cold]
    fn resolve_shared(&self, epoch: u64, values: &[&str]) -> Handle {
        let (handle, within_cap) = self.find_or_create(values);
        if within_cap {
            cache::insert(&self.cache, epoch, values, [handle]);
        }
        handle
    }

    /// The handle for these values, from the shared table; false if it is the overflow series and they are not its own.
    pub(crate) fn find_or_create(&self, values: &[&str]) -> (Handle, bool) {
        match self.within_cap(values) {
            Some(handle) => (handle, true),
            None => (self.overflow(), false),
        }
    }

    /// Like [`FamilyCore::resolve`], but `None` instead of the overflow series.
    pub(crate) fn resolve_within_cap(&self, values: &[&str]) -> Option<Handle> {
        let epoch = self.epoch();
        if let Some([handle]) = cache::get(&self.cache, epoch, values) {
            return Some(handle);
        }
        let handle = self.within_cap(values)?;
        cache::insert(&self.cache, epoch, values, [handle]);
        Some(handle)
    }

    /// The handle for these values, created if there is room for them.
    pub(crate) fn within_cap(&self, values: &[&str]) -> Option<Handle> {
        if is_overlong(values) { None } else { self.find_or_create_up_to(values, Some(self.max_series())) }
    }

    /// Like [`FamilyCore::within_cap`], for values that are part of the program: the cap does not apply to them.
    pub(crate) fn exempt_from_cap(&self, values: &[&str]) -> Option<Handle> {
        if is_overlong(values) { None } else { self.find_or_create_up_to(values, None) }
    }

    /// The overflow series, and one more in the count of what went there.
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
        let handle = self.find_or_create_up_to(values, None).unwrap_or(Handle::NONE);
        self.overflow.set(epoch, [handle]);
        handle
    }

    /// The handle for these values if there is a series.
    pub(crate) fn find(&self, values: &[&str]) -> Option<Handle> {
        self.read().find(&self.declaration.label_names, values)
    }

    /// Creates the series if the cap allows it; one without a cap does not count towards that of others.
    fn find_or_create_up_to(&self, values: &[&str], cap: Option<usize>) -> Option<Handle> {
        let is_full = |table: &SeriesTable| cap.is_some_and(|cap| table.capped_len() >= cap);
        let FamilyDeclaration { metric, bounds, label_names, name, .. } = &self.declaration;
        {
            let table = self.read();
            if let Some(handle) = table.find(label_names, values) {
                return Some(handle);
            }
            if is_full(&table) {
                return None;
            }
        }
        EXPOSURE.check();
        let mut table = self.write();
        if let Some(handle) = table.find(label_names, values) {
            return Some(handle);
        }
        if is_full(&table) {
            return None;
        }
        let Some(handle) = (metric.allocate)(bounds) else {
            drop(table);
            InternalError::SeriesSlotsExhausted.record(name);
            return None;
        };
        if table.insert(label_names, values, handle) {
            if cap.is_none() || is_overflow(values) {
                table.exempt(handle);
            }
            return Some(handle);
        }
        (metric.free)(handle, bounds);
        None
    }

    /// Ends one series.
    pub(crate) fn remove(&self, values: &[&str]) -> bool {
        let mut table = self.write();
        let Some(handle) = table.remove(&self.declaration.label_names, values) else { return false };
        (self.declaration.metric.free)(handle, self.declaration.bounds);
        let compaction = self.after_removal(&mut table);
        drop(table);
        drop(compaction);
        true
    }

    /// Ends all series.
    pub(crate) fn clear(&self) {
        let cleared = {
            let mut table = self.write();
            let cleared = std::mem::take(&mut *table);
            for position in lock(&self.shared.0.walks).iter() {
                position.end();
            }
            self.epoch.store(cache::new_epoch(), Ordering::Release);
            cleared
        };
        // Without the lock, because there may be millions. Until a series is freed, old handles still write to it.
        for handle in cleared.handles() {
            (self.declaration.metric.free)(handle, self.declaration.bounds);
        }
    }

    /// Must be called before the lock on the table is given back, so that nobody finds an old handle in the new epoch. What
    /// it returns is to be dropped after that.
    fn after_removal(&self, table: &mut SeriesTable) -> Option<Compaction> {
        self.epoch.store(cache::new_epoch(), Ordering::Release);
        let compaction = table.wants_compaction().then(|| table.compact())?;
        for position in lock(&self.shared.0.walks).iter() {
            position.follow(&compaction);
        }
        Some(compaction)
    }

    pub(crate) fn len(&self) -> usize {
        self.read().len()
    }

    /// The number of series that the cap counts.
    pub(crate) fn capped_len(&self) -> usize {
        self.read().capped_len()
    }

    /// Label values and handles of all series.
    pub(crate) fn series(&self) -> Vec<(Vec<String>, Handle)> {
        let mut all = Chunk::default();
        self.read().copy(0, usize::MAX, usize::MAX, &mut all);
        let values = |at| labels::pairs(all.text(at)).map(|(_, value)| value.into_owned()).collect();
        all.handles().iter().enumerate().map(|(at, handle)| (values(at), *handle)).collect()
    }

    /// The counter of label sets that went to the overflow series.
    pub(crate) fn overflow_counter(&self) -> Handle {
        *self.overflowed.get_or_init(|| super::overflow::counter(&self.declaration.name))
    }

    #[cfg(test)]
    pub(crate) fn hold_lock(&self) -> impl Sized {
        self.write()
    }

    fn read(&self) -> RwLockReadGuard<'_, SeriesTable> {
        self.shared.0.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, SeriesTable> {
        self.shared.0.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_overflow(values: &[&str]) -> bool {
    !values.is_empty() && values.iter().all(|value| *value == OVERFLOW)
}

fn is_overlong(values: &[&str]) -> bool {
    values.iter().any(|value| value.len() > MAX_VALUE_LEN)
}

impl SeriesOwner for FamilyCore {
    fn name(&self) -> &str {
        &self.declaration.name
    }

    fn mark_read_early(&self) {
        // Every call that names its families comes here, so this only reads once the mark is set.
        self.read_early.get_or_init(|| {
            let mut all = Chunk::default();
            self.read().copy(0, usize::MAX, usize::MAX, &mut all);
            let mut readings = Readings::default();
            (self.declaration.metric.read)(all.handles(), self.declaration.bounds, &mut readings);
            let mut totals = EarlyTotals::with_capacity(all.handles().len());
            totals.extend(all.handles().iter().copied().zip(readings.counters));
            totals
        });
    }
}

impl Drop for FamilyCore {
    fn drop(&mut self) {
        self.clear();
    }
}

//! The type-erased part of a family: its declaration, its series, and the lookup from label values to handles.
//!
//! A scrape copies at most 128 series each time it takes the lock. A new label set waits longer than one such copy only
//! while the table grows, is compacted, or is read as a whole (for a sorted scrape, when the family is marked for early
//! reading, or when the filter of a full family is filled). State written by scrapes and series creation is on separate
//! cache lines from state that every lookup reads.

mod early;
mod lookup;
mod removal;
mod walk;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::SystemTime;

use foldhash::fast::RandomState;

use super::FamilyDeclaration;
use super::full_filter::FullFilter;
use super::table::{Chunk, SeriesTable};
use crate::cache::{self, CacheId, Dense, Dependent, Fixed};
use crate::cell::Handle;
use crate::kind::Kind;
use crate::labels::{self, MAX_VALUE_LEN};
use crate::lock::lock;
use crate::metric::{Readings, SeriesOwner};

pub(crate) use early::EarlyTotals;
pub(crate) use lookup::Found;
pub(crate) use walk::Walk;
use walk::WalkPosition;

/// The default cap on a family's number of series.
pub(crate) const DEFAULT_MAX_SERIES: usize = 2_000;
/// The maximum number of series that a scrape copies each time it takes the family's lock.
const CHUNK: usize = 128;

/// A family's declaration and series.
pub struct FamilyCore {
    pub(crate) declaration: FamilyDeclaration,
    /// The constant labels as text, including the registry's once the family is registered.
    pub(crate) const_text: String,
    max_series: AtomicUsize,
    /// Changes when a series is removed, which invalidates all lookups cached in earlier epochs.
    epoch: AtomicU64,
    cache: CacheId,
    /// The handle of each label set, if all labels have closed sets of values.
    dense: Option<Dense<1>>,
    /// The counter of overflowed lookups, created when it is first needed or exported.
    overflowed: OnceLock<Handle>,
    /// The hasher of the table.
    hasher: RandomState,
    /// Excludes new label sets while the family is full.
    full: CachePadded<FullFilter>,
    /// The annotated functions that record into this family.
    dependents: Mutex<Vec<Weak<dyn Dependent>>>,
    /// The handle of the overflow series.
    overflow: Fixed<1>,
    /// Label values added by later declarations and annotated functions, keyed by label position.
    known_values: Mutex<BTreeMap<usize, Vec<String>>>,
    /// The totals from when the family was marked for early reading; unset if it is not marked.
    read_early: OnceLock<EarlyTotals>,
    shared: CachePadded<Shared>,
}

/// State written by scrapes and series creation.
#[derive(Default)]
struct Shared {
    table: RwLock<SeriesTable>,
    /// The positions of the walks in progress.
    walks: Mutex<Vec<Arc<WalkPosition>>>,
}

/// Puts a value on separate cache lines, so that writes to it do not slow down readers of adjacent fields.
#[derive(Default)]
#[repr(align(128))]
struct CachePadded<T>(T);

impl FamilyCore {
    /// Creates a family that is not registered. If it has no labels, its only series is created immediately.
    pub(crate) fn new(declaration: FamilyDeclaration, max_series: usize) -> Self {
        let mut const_text = String::new();
        for (name, value) in &declaration.const_labels {
            labels::push_pair(&mut const_text, 0, name, value);
        }
        let hasher = RandomState::default();
        let sets: Option<Vec<_>> = declaration.label_values.iter().copied().collect();
        let core = Self {
            dense: sets.and_then(|sets| Dense::new(sets, max_series)),
            const_text,
            max_series: AtomicUsize::new(max_series),
            epoch: AtomicU64::new(cache::new_epoch()),
            cache: CacheId::new(),
            overflowed: OnceLock::new(),
            dependents: Mutex::default(),
            overflow: Fixed::new(),
            known_values: Mutex::default(),
            read_early: OnceLock::new(),
            shared: CachePadded(Shared {
                table: RwLock::new(SeriesTable::new(hasher.clone(), &declaration.label_names)),
                ..Shared::default()
            }),
            hasher,
            full: CachePadded(FullFilter::new()),
            declaration,
        };
        if core.declaration.label_names.is_empty() {
            core.resolve(&[]);
        }
        core.reserve_overflow(&mut core.write());
        core.create_closed(&core);
        core
    }

    /// Merges in the closed sets and the cap from `given`, another declaration of the same family.
    pub(crate) fn adopt(&self, given: &Self) {
        let before = self.max_series.fetch_max(given.max_series(), Ordering::Relaxed);
        if given.max_series() > before {
            // A thread that fills the filter after this sees the new cap.
            let _table = self.write();
            self.full.0.invalidate();
        }
        let label_values = &given.declaration.label_values;
        if *label_values == self.declaration.label_values {
            return;
        }
        for (position, values) in label_values.iter().enumerate() {
            self.know_values(position, values.iter().copied().flatten().map(|value| (*value).to_owned()));
        }
        self.create_closed(given);
    }

    /// Creates a series at 0 for every combination of label values from `declared`'s closed sets. The series of an info
    /// are always 1, so they are created when they become true.
    fn create_closed(&self, declared: &Self) {
        if let Some(dense) = declared.dense.as_ref().filter(|_| self.declaration.kind() != Kind::Info) {
            dense.for_each(|values| {
                self.within_cap(values);
            });
        }
    }

    /// The maximum number of series, excluding exempt ones.
    pub(crate) fn max_series(&self) -> usize {
        self.max_series.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Adds a function to be notified when a series is removed.
    pub(crate) fn add_dependent(&self, dependent: Weak<dyn Dependent>) {
        let mut dependents = lock(&self.dependents);
        // A function whose expression panics is resolved again, and its earlier families may be gone.
        if dependents.len() == dependents.capacity() {
            dependents.retain(|dependent| dependent.strong_count() > 0);
        }
        dependents.push(dependent);
    }

    /// Adds values for the label at this position that are known before their first use.
    pub(crate) fn know_values(&self, position: usize, values: impl IntoIterator<Item = String>) {
        let mut known = lock(&self.known_values);
        let known = known.entry(position).or_default();
        for value in values {
            if !known.contains(&value) {
                known.push(value);
            }
        }
    }

    /// Returns the known values of the label at this position: the declared ones, then those added later.
    pub(crate) fn known_values(&self, position: usize) -> Vec<String> {
        let declared = self.declaration.label_values.get(position).copied().flatten().unwrap_or_default();
        let mut values: Vec<String> = declared.iter().map(|value| (*value).to_owned()).collect();
        if let Some(noted) = lock(&self.known_values).get(&position) {
            values.extend(noted.iter().filter(|value| !declared.contains(&value.as_str())).cloned());
        }
        values
    }

    /// The totals from the first call to [`SeriesOwner::mark_read_early`]; `None` if the family is not marked.
    ///
    /// A scrape that was in progress at that time reports these totals instead of the current ones. It may already have
    /// read the latency, without the calls that this family has counted since.
    pub(crate) fn totals_when_marked(&self) -> Option<&EarlyTotals> {
        self.read_early.get()
    }

    pub(crate) fn find(&self, values: &[&str]) -> Option<Handle> {
        self.read().find(&self.declaration.label_names, values)
    }

    /// Like [`FamilyCore::find`], but also returns the creation time of the series.
    pub(crate) fn find_with_creation(&self, values: &[&str]) -> Option<(Handle, Option<SystemTime>)> {
        self.read().find_with_creation(&self.declaration.label_names, values)
    }

    pub(crate) fn len(&self) -> usize {
        self.read().len()
    }

    /// The number of series that count toward the cap.
    pub(crate) fn capped_len(&self) -> usize {
        self.read().capped_len()
    }

    /// Returns true if at most half of the cap is used. Takes no lock while the family is known to be full.
    pub(crate) fn is_half_empty(&self) -> bool {
        !self.full.0.is_valid() && self.capped_len() * 2 <= self.max_series()
    }

    /// Returns the label values and handles of all series.
    pub(crate) fn series(&self) -> Vec<(Vec<String>, Handle)> {
        let mut all = Chunk::default();
        self.read().copy(0, usize::MAX, usize::MAX, &mut all);
        let values = |text| labels::pairs(text).map(|(_, value)| value.into_owned()).collect();
        all.series().map(|(_, text, handle)| (values(text), handle)).collect()
    }

    /// The counter of overflowed lookups; [`Handle::NONE`] while no slot or memory is available for it.
    pub(crate) fn overflow_counter(&self) -> Handle {
        if let Some(known) = self.overflowed.get() {
            return *known;
        }
        let Some(counter) = super::overflow::counter(&self.declaration.name) else { return Handle::NONE };
        *self.overflowed.get_or_init(|| counter)
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

fn is_overlong(values: &[&str]) -> bool {
    values.iter().any(|value| value.len() > MAX_VALUE_LEN)
}

impl SeriesOwner for FamilyCore {
    fn name(&self) -> &str {
        &self.declaration.name
    }

    fn mark_read_early(&self) {
        // Some calls with per-call families run this each time, so it must not write once the mark is set.
        self.read_early.get_or_init(|| {
            let mut all = Chunk::default();
            self.read().copy(0, usize::MAX, usize::MAX, &mut all);
            let mut readings = Readings::default();
            (self.declaration.metric.read)(all.handles(), self.declaration.buckets, &mut readings);
            let mut totals = EarlyTotals::with_capacity(all.handles().len());
            totals.extend(all.handles().iter().copied().zip(readings.counters));
            totals
        });
    }
}

impl Drop for FamilyCore {
    fn drop(&mut self) {
        self.remove_all();
        if let Some(slot) = self.write().take_reserved() {
            (self.declaration.metric.free)(slot, self.declaration.buckets);
        }
    }
}

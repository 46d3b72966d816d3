//! Per-thread caches that map label values to handles. While a label set is cached, looking it up neither locks
//! nor allocates.
//!
//! A lookup tries two levels. The first is [`set_associative`]: 64 entries per thread (512 if these are too few),
//! shared by all families and annotated functions and found by a simple hash of a few words. The second is one hash
//! table per thread and owner (a family or an annotated function). On a miss in both, the family is searched under
//! its lock, and the result is cached in the second level. A thread that shares its cells with others has only a
//! first level of 64 entries, so that hundreds of threads need little memory.
//!
//! Each owner has an epoch, which changes when one of its series is removed. A table or entry from an older epoch does
//! not match, so nothing has to be invalidated in other threads. Once any thread with dedicated cells has more than 256
//! label sets for an owner, all threads skip the first level for that owner, because its label sets would mostly evict
//! other owners' entries. Once a table exceeds 16,384 label sets or 4 MiB of values, all threads skip the second level,
//! too: most lookups there would miss, and a miss in a large table takes almost as long as a lookup in the family.

mod dense;
mod fixed;
mod fixed_series;
mod set_associative;
#[cfg(test)]
mod tests;
mod thread_table;

pub(crate) use dense::Dense;
pub(crate) use fixed_series::FixedSeries;
pub(crate) use set_associative::TOO_LONG_FOR_ONE;

use std::cell::{Cell, RefCell};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use thread_table::ThreadTable;

use crate::cell::{Handle, access};
use crate::lock::lock;

/// The number of label sets per owner and thread above which all threads skip the first level for that owner, because
/// most lookups there would miss.
const MAX_FIRST_LEVEL_SETS: usize = 256;

/// Identifies an owner's table in each thread. The index is reused once the id is dropped.
#[derive(Debug)]
pub(crate) struct CacheId {
    index: usize,
    /// True if the index may be reused only if no thread has cached anything under it.
    is_permanent: bool,
    /// The level at which lookups begin: 1 or 2, or 3 for the family itself.
    start_level: AtomicU8,
}

static IDS: Mutex<Ids> = Mutex::new(Ids { used: 0, free: Vec::new(), unused: Vec::new() });

struct Ids {
    /// The number of indexes that have been given out.
    used: usize,
    /// The indexes of dropped owners that take their epochs from [`new_epoch`].
    free: Vec<usize>,
    /// The indexes of permanent owners that were dropped before they cached anything.
    unused: Vec<usize>,
}

impl CacheId {
    pub(crate) fn new() -> Self {
        let mut ids = lock(&IDS);
        let free = ids.free.pop();
        Self::of(free.unwrap_or_else(|| ids.next()), false)
    }

    /// Returns an id for an owner that does not take its epochs from [`new_epoch`]. No thread has cached anything under
    /// the index. This must still be true when the index is reused, so the owner must not be dropped once it has cached
    /// something. It is dropped before that if the expression of one of its families panics.
    pub(crate) fn permanent() -> Self {
        let mut ids = lock(&IDS);
        let unused = ids.unused.pop();
        Self::of(unused.unwrap_or_else(|| ids.next()), true)
    }

    fn of(index: usize, is_permanent: bool) -> Self {
        Self { index, is_permanent, start_level: AtomicU8::new(1) }
    }

    #[inline]
    fn searches(&self, level: u8) -> bool {
        self.start_level.load(Ordering::Relaxed) <= level
    }

    /// Skips the levels before `level` from now on.
    fn begin_at(&self, level: u8) {
        self.start_level.fetch_max(level, Ordering::Relaxed);
    }
}

impl Ids {
    fn next(&mut self) -> usize {
        self.used += 1;
        self.used - 1
    }
}

impl Drop for CacheId {
    fn drop(&mut self) {
        let mut ids = lock(&IDS);
        if self.is_permanent { &mut ids.unused } else { &mut ids.free }.push(self.index);
    }
}

#[cfg(test)]
pub(crate) fn hold_lock() -> impl Sized {
    lock(&IDS)
}

/// An annotated function, which is notified when one of its families removes a series.
pub(crate) trait Dependent: Send + Sync {
    /// Called while the family is locked.
    fn invalidate(&self);
}

/// Returns an epoch that no owner has had before.
pub(crate) fn new_epoch() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

thread_local! {
    /// Tables, by owner index. Most threads use only a few owners.
    static TABLES: RefCell<Vec<Option<Box<ThreadTable>>>> = const { RefCell::new(Vec::new()) };
    static FIRST_LEVEL: FirstLevel = const { FirstLevel { turn: Cell::new(0), sets: Cell::new(0) } };
}

/// Statistics about a thread's first level.
struct FirstLevel {
    /// The number of attempted insertions.
    turn: Cell<usize>,
    /// The number of label sets that the thread has looked up for the first time, of owners that use this level.
    sets: Cell<usize>,
}

/// The number of label sets above which a thread's first level grows, three quarters of its initial 64 entries.
const MAX_FEW_SETS: usize = 48;

/// Returns the handles that this thread has cached for these values in this epoch.
#[inline]
pub(crate) fn get<const N: usize>(id: &CacheId, epoch: u64, values: &[&str]) -> Option<[Handle; N]> {
    match get_first_level(id, epoch, values) {
        Some(handles) => Some(handles),
        None => get_second_level(id, epoch, values),
    }
}

/// Like [`get`], but searches only the first level.
///
/// `N` may be smaller than the number of cached handles. The rest is then not read.
///
/// On a miss, callers continue with [`get_second_level`] in a separate function. If one function obtained the handles
/// in two branches, the handles would pass through memory, which would take a fifth of a call's time.
#[inline(always)]
#[expect(clippy::inline_always, reason = "so that the handles stay in registers")]
pub(crate) fn get_first_level<const N: usize, V: AsRef<[u8]>>(
    id: &CacheId,
    epoch: u64,
    values: &[V],
) -> Option<[Handle; N]> {
    get_first_level_with(id, epoch, &[], values)
}

/// Like [`get_first_level`], for a key that begins with numbers.
#[inline(always)]
#[expect(clippy::inline_always, reason = "so that the handles stay in registers")]
pub(crate) fn get_first_level_with<const N: usize, V: AsRef<[u8]>, const P: usize>(
    id: &CacheId,
    epoch: u64,
    numbers: &[Option<u64>; P],
    values: &[V],
) -> Option<[Handle; N]> {
    if !id.searches(1) {
        return None;
    }
    let entry = set_associative::find(access::cache(), id, epoch, numbers, values)?;
    Some(set_associative::handles(entry))
}

/// Like [`get_first_level`], for a single value. Does not find some values that [`get_first_level`] finds; see
/// [`set_associative::find_one`].
#[inline(always)]
#[expect(clippy::inline_always, reason = "so that the handles stay in registers")]
pub(crate) fn get_one_first_level<const N: usize>(id: &CacheId, epoch: u64, value: &[u8]) -> Option<[Handle; N]> {
    if !id.searches(1) {
        return None;
    }
    let entry = set_associative::find_one(access::cache(), id, epoch, value)?;
    Some(set_associative::handles(entry))
}

/// Like [`get`], but searches only the second level.
#[inline]
pub(crate) fn get_second_level<const N: usize>(id: &CacheId, epoch: u64, values: &[&str]) -> Option<[Handle; N]> {
    if id.searches(2) { get_in_table(id, epoch, values) } else { None }
}

#[inline(never)]
fn get_in_table<const N: usize>(id: &CacheId, epoch: u64, values: &[&str]) -> Option<[Handle; N]> {
    TABLES
        .try_with(|tables| {
            let tables = tables.try_borrow().ok()?;
            let table = tables.get(id.index)?.as_deref().filter(|table| table.epoch == epoch)?;
            let handles = table.find(values)?;
            if id.searches(1) {
                insert_first_level(id, epoch, &[], values, handles);
            }
            Some(*handles)
        })
        .ok()
        .flatten()
}

/// Caches `handles` for these values. `epoch` must have been read before the handles were looked up.
///
/// Does nothing if the thread is ending or the call is re-entrant (from an allocator that records metrics). A thread
/// that shares cells caches in the first level only. Frees the thread's table if the owner has too many label sets.
#[inline]
pub(crate) fn insert<const N: usize>(id: &CacheId, epoch: u64, values: &[&str], handles: [Handle; N]) {
    if id.searches(2) {
        insert_new(id, epoch, values, handles);
    } else {
        forget(id);
    }
}

#[cold]
fn insert_new<const N: usize>(id: &CacheId, epoch: u64, values: &[&str], handles: [Handle; N]) {
    // The first level grows only here, where a new label set is allocated anyway, and never in a later lookup.
    let sets = FIRST_LEVEL.try_with(|FirstLevel { sets, .. }| {
        sets.set(sets.get().saturating_add(usize::from(id.searches(1))));
        sets.get()
    });
    let is_many = sets.is_ok_and(|sets| sets > MAX_FEW_SETS);
    let sets = if is_many { set_associative::MANY_SETS } else { set_associative::FEW_SETS };
    match access::make_cache(sets, set_associative::FEW_SETS) {
        None => return,
        Some(true) => {}
        Some(false) => {
            if id.searches(1) {
                insert_first_level(id, epoch, &[], values, &handles);
            }
            return;
        }
    }
    let _ = TABLES.try_with(|tables| {
        let Ok(mut tables) = tables.try_borrow_mut() else { return };
        if tables.len() <= id.index {
            let new = id.index + 1 - tables.len();
            if tables.try_reserve(new).is_err() {
                return;
            }
            tables.resize_with(id.index + 1, || None);
        }
        let table = tables[id.index].get_or_insert_default();
        if table.epoch != epoch {
            **table = ThreadTable::new(epoch);
        }
        if !table.insert(values, &handles) {
            id.begin_at(3);
        } else if table.len() > MAX_FIRST_LEVEL_SETS {
            id.begin_at(2);
        }
    });
}

/// Caches `handles` in the first level only, for an owner that uses no second level and whose keys begin with numbers.
#[cold]
pub(crate) fn insert_only_first_level<const N: usize, const P: usize>(
    id: &CacheId,
    epoch: u64,
    numbers: &[Option<u64>; P],
    values: &[&str],
    handles: [Handle; N],
) {
    if access::make_cache(set_associative::FEW_SETS, set_associative::FEW_SETS).is_some() {
        insert_first_level(id, epoch, numbers, values, &handles);
    }
}

fn insert_first_level<const P: usize>(
    id: &CacheId,
    epoch: u64,
    numbers: &[Option<u64>; P],
    values: &[&str],
    handles: &[Handle],
) {
    let _ = FIRST_LEVEL.try_with(|FirstLevel { turn, .. }| {
        turn.set(turn.get().wrapping_add(1));
        set_associative::insert(access::cache(), id, epoch, numbers, values, handles, turn.get());
    });
}

/// Frees this thread's table of an owner.
#[inline]
fn forget(id: &CacheId) {
    let _ = TABLES.try_with(|tables| {
        if let Ok(mut tables) = tables.try_borrow_mut()
            && let Some(table @ Some(_)) = tables.get_mut(id.index)
        {
            drop(table.take());
        }
    });
}

/// The handles of one fixed label set in one epoch of its owner, shared by all threads.
pub(crate) struct Fixed<const N: usize> {
    /// 0 if the handles are unset or being changed. No owner has epoch 0.
    epoch: AtomicU64,
    handles: [AtomicU64; N],
    writer: Mutex<()>,
}

impl<const N: usize> Fixed<N> {
    pub(crate) const fn new() -> Self {
        Self { epoch: AtomicU64::new(0), handles: [const { AtomicU64::new(0) }; N], writer: Mutex::new(()) }
    }

    /// Returns the handles if they were set in this epoch, which must not be 0.
    #[inline]
    pub(crate) fn get(&self, epoch: u64) -> Option<[Handle; N]> {
        fixed::get(&self.epoch, &self.handles, epoch)
    }

    /// Sets the handles. `epoch` must have been read before they were looked up.
    #[cold]
    pub(crate) fn set(&self, epoch: u64, handles: [Handle; N]) {
        let _writer = lock(&self.writer);
        // If another thread has set them for this epoch, they are the same, and another change would only cause misses.
        if self.epoch.load(Ordering::Relaxed) != epoch {
            fixed::set(&self.epoch, &self.handles, epoch, handles);
        }
    }
}

//! The latest exemplar of each bucket, by series.

use std::collections::BTreeMap;
use std::hint::spin_loop;
use std::iter;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::SystemTime;

use crate::cell::handle::SHARDS;
use crate::cell::{Handle, access};
use crate::lock::lock;
use crate::per_process::PerProcess;
use crate::sample::{Exemplar, Labels};

/// The latest exemplar of a bucket or counter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KeptExemplar {
    /// The position of the classic bucket; 0 for counters.
    pub(crate) bucket: usize,
    /// The labels as escaped text.
    pub(crate) labels: Arc<str>,
    pub(crate) value: f64,
    pub(crate) timestamp: SystemTime,
}

impl KeptExemplar {
    /// Borrows the exemplar, to pass it to a visitor.
    pub(crate) fn show(&self) -> Exemplar<'_> {
        let Self { bucket, labels, value, timestamp } = self;
        Exemplar { bucket: *bucket, labels: Labels::new("", labels), value: *value, timestamp: *timestamp }
    }
}

/// The exemplars by series and bucket, in several shards, each with its own lock.
#[derive(Default)]
struct Kept {
    shards: [Mutex<Shard>; SHARDS],
}

type Shard = BTreeMap<(u64, usize), KeptExemplar>;

impl Kept {
    fn shard(&self, handle: Handle) -> &Mutex<Shard> {
        &self.shards[handle.shard()]
    }
}

static KEPT: PerProcess<Kept> = PerProcess::new();
/// True once any series has had an exemplar.
static ANY: AtomicBool = AtomicBool::new(false);

/// Stores an exemplar, unless its series has ended. Returns false if another thread holds the lock or if this thread is
/// inside the allocator.
pub(super) fn insert(handle: Handle, exemplar: KeptExemplar) -> bool {
    // An allocator that takes exemplars may be called while this thread holds the lock.
    let inserted = access::unless_allocating(|| {
        let mut kept = try_lock(KEPT.get().shard(handle))?;
        ANY.store(true, Ordering::Relaxed);
        // A thread that ends the series either sees that `ANY` is set, or has ended the series before the check below.
        fence(Ordering::SeqCst);
        let replaced = access::is_live(handle).then(|| kept.insert((handle.word(), exemplar.bucket), exemplar));
        drop(kept);
        // Freed without the lock.
        drop(replaced);
        Some(())
    });
    inserted.flatten().is_some()
}

/// Locks a mutex without waiting for long. No thread holds it for more than about a microsecond, unless it is
/// preempted.
fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    const ATTEMPTS: usize = 1_000;
    let attempt = || match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(guard)) => Some(guard.into_inner()),
        Err(TryLockError::WouldBlock) => {
            spin_loop();
            None
        }
    };
    iter::repeat_with(attempt).take(ATTEMPTS).flatten().next()
}

/// Removes the exemplars of a series that has ended, and resets its sampling times.
pub(crate) fn forget(handle: Handle, buckets: usize) {
    for time in (0..buckets).filter_map(|bucket| access::exemplar_time(handle, bucket)) {
        time.store(0, Ordering::Relaxed);
    }
    fence(Ordering::SeqCst);
    if ANY.load(Ordering::Relaxed) {
        access::unless_allocating(|| {
            let mut kept = lock(KEPT.get().shard(handle));
            for bucket in 0..buckets {
                kept.remove(&(handle.word(), bucket));
            }
        });
    }
}

/// Appends the exemplars of each series, preceded by the position of the series in `handles`.
pub(crate) fn read(handles: &[Handle], exemplars: &mut Vec<(usize, KeptExemplar)>) {
    if ANY.load(Ordering::Relaxed) {
        access::unless_allocating(|| {
            let kept = KEPT.get();
            for (position, handle) in handles.iter().enumerate() {
                let range = (handle.word(), 0)..=(handle.word(), usize::MAX);
                let shard = lock(kept.shard(*handle));
                exemplars.extend(shard.range(range).map(|(_, exemplar)| (position, exemplar.clone())));
            }
        });
    }
}

//! The epoch that an annotated function's families share, and the handles that all calls share if all labels are fixed.
//!
//! If each call compared the epochs of all families, that would take longer than recording the call. Removals are rare,
//! so a family that removes a series notifies the functions that record into it: it changes their epoch and clears
//! their handles. A call then needs no epoch to use these handles. `tests/models` also runs this file under Loom.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::cell::Handle;
use crate::cell::sync::{AtomicU64, Mutex, lock};

pub(crate) struct FixedSeries<const N: usize> {
    /// Never 0.
    epoch: AtomicU64,
    /// [`Handle::NONE`] before the first call, and after a removal.
    handles: [AtomicU64; N],
    /// Held while the epoch or the handles change.
    writer: Mutex<()>,
}

impl<const N: usize> FixedSeries<N> {
    pub(crate) fn new() -> Self {
        let none = || AtomicU64::new(Handle::NONE.word());
        Self { epoch: AtomicU64::new(1), handles: std::array::from_fn(|_| none()), writer: Mutex::new(()) }
    }

    /// A number that changes when a series of any of the families is removed.
    #[inline]
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Acquire)
    }

    /// The handle at this position; [`Handle::NONE`] if it must be looked up.
    #[inline]
    pub(crate) fn handle(&self, at: usize) -> Handle {
        Handle::from_word(self.handles[at].load(Acquire))
    }

    /// Sets the handles, unless a series has been removed since `epoch` was read. It must have been read before the
    /// handles were looked up. The handles are set in order, and readers that combine them read them in reverse.
    pub(crate) fn set(&self, epoch: u64, handles: [Handle; N]) {
        let _writer = lock(&self.writer);
        if self.epoch.load(Relaxed) == epoch {
            for (word, handle) in self.handles.iter().zip(handles) {
                word.store(handle.word(), Release);
            }
        }
    }

    /// Changes the epoch and clears the handles. The caller holds the lock of the family that has removed a series, so
    /// that no thread that sees the new epoch finds the removed series.
    pub(crate) fn invalidate(&self) {
        let _writer = lock(&self.writer);
        self.epoch.store(self.epoch.load(Relaxed) + 1, Release);
        for word in &self.handles {
            word.store(Handle::NONE.word(), Release);
        }
    }
}

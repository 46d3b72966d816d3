//! The epoch that an annotated function's families share, and the handles that all calls share if all labels are fixed.
//!
//! If each call compared the epochs of all families, that would take longer than recording the call. Removals are rare,
//! so a family that removes a series notifies the functions that record into it: it changes their epoch and clears
//! their handles. A call then needs no epoch to use these handles. `tests/models` also runs this file under Loom.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::cell::Handle;
use crate::cell::sync::{AtomicU64, Mutex, fence, lock};

pub(crate) struct FixedSeries<const N: usize> {
    /// Never 0.
    epoch: AtomicU64,
    /// [`Handle::NONE`] before the first call, and after a removal.
    handles: [AtomicU64; N],
    /// The epoch for which the handles are set; 0 if they are not set, or while they change.
    set_for: AtomicU64,
    /// Held while the epoch or the handles change.
    writer: Mutex<()>,
}

impl<const N: usize> FixedSeries<N> {
    pub(crate) fn new() -> Self {
        let none = || AtomicU64::new(Handle::NONE.word());
        Self {
            epoch: AtomicU64::new(1),
            handles: std::array::from_fn(|_| none()),
            set_for: AtomicU64::new(0),
            writer: Mutex::new(()),
        }
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

    /// All handles, which were set together; `None` if they must be looked up.
    ///
    /// A seqlock, like [`super::fixed`]: a change during the read is a miss.
    #[inline]
    pub(crate) fn all(&self) -> Option<[Handle; N]> {
        let set_for = self.set_for.load(Acquire);
        if set_for == 0 {
            return None;
        }
        let handles = self.handles.each_ref().map(|word| Handle::from_word(word.load(Relaxed)));
        fence(Acquire);
        if self.set_for.load(Relaxed) == set_for { Some(handles) } else { None }
    }

    /// Sets the handles, unless a series has been removed since `epoch` was read. It must have been read before the
    /// handles were looked up. The handles are set in order, and readers that combine them read them in reverse.
    pub(crate) fn set(&self, epoch: u64, handles: [Handle; N]) {
        let _writer = lock(&self.writer);
        // If another thread has set them for this epoch, they are the same, and another change would only cause misses.
        if self.epoch.load(Relaxed) == epoch && self.set_for.load(Relaxed) != epoch {
            self.begin_change();
            for (word, handle) in self.handles.iter().zip(handles) {
                word.store(handle.word(), Release);
            }
            self.set_for.store(epoch, Release);
        }
    }

    /// Changes the epoch and clears the handles. The caller holds the lock of the family that has removed a series, so
    /// that no thread that sees the new epoch finds the removed series.
    pub(crate) fn invalidate(&self) {
        let _writer = lock(&self.writer);
        self.begin_change();
        self.epoch.store(self.epoch.load(Relaxed) + 1, Release);
        for word in &self.handles {
            word.store(Handle::NONE.word(), Release);
        }
    }

    /// Makes [`FixedSeries::all`] miss until `set_for` is stored again.
    fn begin_change(&self) {
        self.set_for.store(0, Relaxed);
        fence(Release);
    }
}

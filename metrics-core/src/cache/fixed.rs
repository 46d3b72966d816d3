//! A fixed number of handles that are replaced together with their epoch, so that no reader uses handles from another
//! epoch.
//!
//! The writer sets the epoch to 0, stores the handles, then stores the new epoch. A reader checks the epoch before and
//! after loading the handles: a seqlock with the epoch as its sequence number. A failed check is a cache miss, so a
//! reader never spins. `tests/models` also runs this file under Loom.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::cell::Handle;
use crate::cell::sync::{AtomicU64, fence};

/// Returns the handles if they were set for the epoch `now`, which must not be 0.
#[inline]
pub(crate) fn get<const N: usize>(epoch: &AtomicU64, words: &[AtomicU64; N], now: u64) -> Option<[Handle; N]> {
    if epoch.load(Acquire) != now {
        return None;
    }
    let handles = words.each_ref().map(|word| Handle::from_word(word.load(Relaxed)));
    fence(Acquire);
    if epoch.load(Relaxed) == now { Some(handles) } else { None }
}

/// Sets the handles for the epoch `now`. The caller must ensure that only one thread calls this at a time.
pub(crate) fn set<const N: usize>(epoch: &AtomicU64, words: &[AtomicU64; N], now: u64, handles: [Handle; N]) {
    epoch.store(0, Relaxed);
    fence(Release);
    for (word, handle) in words.iter().zip(handles) {
        word.store(handle.word(), Relaxed);
    }
    epoch.store(now, Release);
}

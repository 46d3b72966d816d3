//! Recognizes label sets that a full family does not have, without a lock.
//!
//! If callers send a steady stream of new label values, each of them is looked up in the table of a full family. Even a
//! reader-writer lock would make two threads slower than one. The filter has two bits for each label set
//! of the family. If one of them is not set, the family does not have the label set. Otherwise, the table decides.
//!
//! The bits are valid for a version. As in a seqlock, a reader checks the version before and after it reads the bits.
//! The family adds a label set before it releases the lock of its table, and invalidates the filter when it may no
//! longer be full. `tests/models` also runs this file under Loom.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::cell::sync::{AtomicU64, Mutex, OnceLock, fence, zeros};

pub(crate) struct FullFilter {
    /// The version of the bits. An even number means that they are invalid.
    version: AtomicU64,
    /// The lookups of missing label sets since the filter became invalid.
    misses: AtomicU64,
    /// Allocated when the family is full for the first time. The length is a power of 2.
    words: OnceLock<Box<[AtomicU64]>>,
    /// Held by the thread that fills the filter.
    filling: Mutex<()>,
}

impl FullFilter {
    pub(crate) fn new() -> Self {
        Self { version: AtomicU64::new(0), misses: AtomicU64::new(0), words: OnceLock::new(), filling: Mutex::new(()) }
    }

    /// Returns true if the family was full during this call, and did not have the label set with this hash.
    #[inline]
    pub(crate) fn excludes(&self, hash: impl FnOnce() -> u32) -> bool {
        let version = self.version.load(Acquire);
        if version.is_multiple_of(2) {
            return false;
        }
        let Some(words) = self.words.get() else { return false };
        let (word, bits) = place(words, hash());
        if word.load(Relaxed) & bits == bits {
            return false;
        }
        fence(Acquire);
        self.version.load(Relaxed) == version
    }

    /// Returns true if the family is known to be full.
    #[cfg_attr(test, allow(dead_code, reason = "the models do not use it"))]
    pub(crate) fn is_valid(&self) -> bool {
        !self.version.load(Relaxed).is_multiple_of(2)
    }

    /// Adds a label set that was inserted into the table, whose lock the caller holds.
    pub(crate) fn add(&self, hash: impl FnOnce() -> u32) {
        if let Some(words) = self.words.get() {
            let (word, bits) = place(words, hash());
            word.fetch_or(bits, Release);
        }
    }

    /// Called when the family may no longer be full. The caller holds the lock of the table.
    pub(crate) fn invalidate(&self) {
        let version = self.version.load(Relaxed);
        if !version.is_multiple_of(2) {
            self.version.store(version + 1, Release);
            self.misses.store(0, Relaxed);
        }
    }

    /// Counts a lookup that found the family full. Returns true after `len / 16` of them, so that the cost of filling
    /// the filter is spread over them.
    #[cfg_attr(test, allow(dead_code, reason = "the models do not use it"))]
    pub(crate) fn is_due(&self, len: usize) -> bool {
        !self.is_valid() && self.misses.fetch_add(1, Relaxed) >= len as u64 / 16
    }

    /// Allocates the bits for a family of `len` label sets, if there is memory. Must be called without a lock, because
    /// an allocator may use the family.
    pub(crate) fn allocate(&self, len: usize) {
        if self.words.get().is_none() {
            // 16 bits for each label set, up to a million. The false-positive rate is then about 2%.
            let words = zeros((len / 4).next_power_of_two().min(1 << 18));
            let _ = words.map(|words| self.words.set(words));
        }
    }

    /// Fills the filter, unless it is valid or another thread is filling it. The table is full, and the caller holds
    /// its lock for reading, so that no label set is inserted. Other readers may be active.
    pub(crate) fn fill(&self, hashes: impl Iterator<Item = u32>) {
        let Some(words) = self.words.get() else { return };
        let Ok(_filling) = self.filling.try_lock() else { return };
        let version = self.version.load(Relaxed);
        if !version.is_multiple_of(2) {
            return;
        }
        // Readers of the previous version that see any of the following see its end, too.
        fence(Release);
        for word in words {
            word.store(0, Relaxed);
        }
        for hash in hashes {
            let (word, bits) = place(words, hash);
            word.store(word.load(Relaxed) | bits, Relaxed);
        }
        self.version.store(version + 1, Release);
    }
}

/// The word of a hash, and its bits.
fn place(words: &[AtomicU64], hash: u32) -> (&AtomicU64, u64) {
    let bits = 1 << (hash & 63) | 1 << (hash >> 6 & 63);
    (&words[(hash >> 12) as usize & (words.len() - 1)], bits)
}

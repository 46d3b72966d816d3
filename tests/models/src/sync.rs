//! Replaces `cell::sync` with Loom's primitives.

pub(crate) use loom::sync::Mutex;
pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize, fence};

use std::cell::Cell;
use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Release};

pub(crate) use loom::sync::MutexGuard;

/// Enough for three pages, and the page that is reserved for `Handle::NONE`.
pub(crate) const PAGES: usize = 4;
/// Small because Loom tracks each word.
pub(crate) const FIRST_PAGE_WORDS: usize = 8;
/// Unlimited, so that every thread gets a dedicated block unless the model sets a limit.
pub(crate) const FEWEST_BLOCKS: usize = usize::MAX;
/// Small enough that some interleavings need the fallback after the last attempt.
pub(crate) const CONSISTENT_READ_ATTEMPTS: usize = 1;

/// Fills one word.
pub(crate) const CHUNK_BUCKETS: usize = 4;
/// Every second observation in a bucket wraps its count.
pub(crate) const COUNT_BITS: u32 = 1;
/// The second chunk of a series is coarse, because one is added for classic bounds.
pub(crate) const FINE_CHUNKS: usize = 0;

pub(crate) fn default_blocks() -> usize {
    FEWEST_BLOCKS
}

/// A single block, so that all threads contend for it.
pub(crate) fn shared_blocks() -> usize {
    1
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no model panics under a lock")
}

loom::thread_local! {
    static HAS_MEMORY: Cell<bool> = Cell::new(true);
}

/// Runs `f`. While it runs, [`zeros`] fails on this thread.
pub(crate) fn without_memory<R>(f: impl FnOnce() -> R) -> R {
    HAS_MEMORY.with(|has_memory| has_memory.set(false));
    let result = f();
    HAS_MEMORY.with(|has_memory| has_memory.set(true));
    result
}

pub(crate) fn zeros(words: usize) -> Option<Box<[AtomicU64]>> {
    let has_memory = HAS_MEMORY.with(Cell::get);
    has_memory.then(|| (0..words).map(|_| AtomicU64::new(0)).collect())
}

/// A 128-bit atomic with a narrower word, since Loom has none of this size: 16 bits of a generation, 16 bits of a slot,
/// and a value that an `f32` can hold.
pub(crate) struct AtomicU128(AtomicU64);

impl AtomicU128 {
    pub(crate) fn new(value: u128) -> Self {
        Self(AtomicU64::new(narrow(value)))
    }

    pub(crate) fn load(&self, order: Ordering) -> u128 {
        wide(self.0.load(order))
    }

    pub(crate) fn store(&self, value: u128, order: Ordering) {
        self.0.store(narrow(value), order);
    }

    pub(crate) fn compare_exchange_weak(
        &self,
        current: u128,
        new: u128,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u128, u128> {
        self.0.compare_exchange_weak(narrow(current), narrow(new), success, failure).map(wide).map_err(wide)
    }
}

/// Packs the low halves of the generation and the slot, and the value as an `f32`.
#[expect(clippy::cast_possible_truncation, reason = "the models use few slots and small values")]
fn narrow(value: u128) -> u64 {
    let (word, number) = ((value >> 64) as u64, f64::from_bits(value as u64) as f32);
    let narrowed = (word >> 32) << 48 | (word & 0xffff) << 32 | u64::from(number.to_bits());
    assert_eq!(wide(narrowed), value, "too wide for the models");
    narrowed
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is the value")]
fn wide(value: u64) -> u128 {
    let word = (value >> 48) << 32 | (value >> 32) & 0xffff;
    u128::from(word) << 64 | u128::from(f64::from(f32::from_bits(value as u32)).to_bits())
}

/// A replacement for `std::sync::OnceLock` with a single guarantee: a thread that sees the value also sees all writes
/// that happened before the value was set.
pub(crate) struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    state: AtomicUsize,
}

const UNSET: usize = 0;
const BEING_SET: usize = 1;
const SET: usize = 2;

impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self { value: std::sync::OnceLock::new(), state: AtomicUsize::new(UNSET) }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        if self.state.load(Acquire) == SET { self.value.get() } else { None }
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("called once"));
        match value {
            None => Ok(()),
            Some(value) => Err(value),
        }
    }

    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        if self.state.compare_exchange(UNSET, BEING_SET, AcqRel, Acquire).is_ok() {
            let value = self.value.get_or_init(make);
            self.state.store(SET, Release);
            return value;
        }
        loop {
            match self.get() {
                Some(value) => return value,
                None => loom::thread::yield_now(),
            }
        }
    }
}

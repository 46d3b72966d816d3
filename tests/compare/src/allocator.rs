//! The system's allocator, how often the current thread asked it for memory, and the most that all threads had at once.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static ALLOCATED: Cell<u64> = const { Cell::new(0) };
}

/// Whether bytes are counted, which costs something.
static COUNTS_BYTES: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicIsize = AtomicIsize::new(0);
static MOST: AtomicIsize = AtomicIsize::new(0);

#[inline]
fn count_bytes(bytes: isize) {
    if COUNTS_BYTES.load(Ordering::Relaxed) {
        MOST.fetch_max(LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes, Ordering::Relaxed);
    }
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + 1);
        count_bytes(layout.size() as isize);
        // SAFETY: the caller's contract is the one of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + 1);
        count_bytes(layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + 1);
        count_bytes(size as isize - layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count_bytes(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// How many allocations the current thread makes in `f`.
pub(crate) fn allocations(f: impl FnOnce()) -> u64 {
    let before = ALLOCATED.get();
    f();
    ALLOCATED.get() - before
}

/// The most bytes that all threads had at once in `f`, beyond what they had before.
pub(crate) fn most_bytes<R>(f: impl FnOnce() -> R) -> (R, usize) {
    LIVE.store(0, Ordering::Relaxed);
    MOST.store(0, Ordering::Relaxed);
    COUNTS_BYTES.store(true, Ordering::Relaxed);
    let result = f();
    COUNTS_BYTES.store(false, Ordering::Relaxed);
    (result, usize::try_from(MOST.load(Ordering::Relaxed)).unwrap_or(0))
}

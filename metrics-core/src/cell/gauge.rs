//! A number that goes up and down and can be set. All threads share its slot.
//!
//! The slot holds the generation and the value in 128 bits, which are updated by a single compare-and-swap. The handle
//! of a removed series can therefore never write to the series that reuses the slot.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::{Mutex, OnceLock};

use portable_atomic::AtomicU128;

use super::handle::Handle;
use crate::lock::lock;

const FIRST_PAGE: usize = 64;
const PAGES: usize = 26;

static CELLS: [OnceLock<Box<[AtomicU128]>>; PAGES] = [const { OnceLock::new() }; PAGES];
static SLOTS: Mutex<GaugeSlots> = Mutex::new(GaugeSlots { used: 0, free: Vec::new() });

struct GaugeSlots {
    used: u32,
    free: Vec<Handle>,
}

/// Returns the page that contains slot number `slot`, and the slot's offset in that page.
fn locate(slot: u32) -> (usize, usize) {
    let position = slot as usize + FIRST_PAGE;
    let page = (position.ilog2() - FIRST_PAGE.ilog2()) as usize;
    (page, position - (FIRST_PAGE << page))
}

fn cell(handle: Handle) -> Option<&'static AtomicU128> {
    let (page, offset) = locate(handle.slot());
    CELLS.get(page)?.get()?.get(offset)
}

fn pack(handle: Handle, value: f64) -> u128 {
    u128::from(handle.word()) << 64 | u128::from(value.to_bits())
}

fn unpack(cell: u128) -> (u64, f64) {
    let word = u64::try_from(cell >> 64).unwrap_or_default();
    let bits = u64::try_from(cell & u128::from(u64::MAX)).unwrap_or_default();
    (word, f64::from_bits(bits))
}

/// Allocates a gauge with the value 0, or returns `None` if all slots are in use.
pub(crate) fn allocate() -> Option<Handle> {
    let handle = {
        let mut slots = lock(&SLOTS);
        match slots.free.pop() {
            Some(last) => Handle::new(last.slot(), last.generation() + 1),
            None if locate(slots.used).0 < PAGES => {
                slots.used += 1;
                Handle::new(slots.used - 1, 1)
            }
            None => return None,
        }
    };
    let (page, offset) = locate(handle.slot());
    let cells = CELLS[page].get_or_init(|| (0..FIRST_PAGE << page).map(|_| AtomicU128::new(0)).collect());
    cells[offset].store(pack(handle, 0.0), Release);
    Some(handle)
}

#[cfg(test)]
pub(crate) fn hold_lock() -> impl Sized {
    lock(&SLOTS)
}

/// Ends the series of `handle`.
pub(crate) fn free(handle: Handle) {
    let ended = update_word(handle, |_| None);
    if ended && handle.generation() < u32::MAX {
        lock(&SLOTS).free.push(handle);
    }
}

/// Replaces the value with `change(value)`. Does nothing if the series has ended.
#[inline]
pub(crate) fn update(handle: Handle, change: impl Fn(f64) -> f64) {
    update_word(handle, |value| Some(change(value)));
}

/// Replaces the value with `change(value)`, or ends the series if `change` returns `None`. Returns false if the series
/// has already ended.
#[inline]
fn update_word(handle: Handle, change: impl Fn(f64) -> Option<f64>) -> bool {
    let Some(cell) = cell(handle) else { return false };
    let mut now = cell.load(Acquire);
    loop {
        let (word, value) = unpack(now);
        if word != handle.word() {
            return false;
        }
        let next = change(value).map_or(0, |value| pack(handle, value));
        match cell.compare_exchange_weak(now, next, AcqRel, Acquire) {
            Ok(_) => return true,
            Err(newer) => now = newer,
        }
    }
}

/// Returns the gauge's value, or `None` if its series has ended.
pub(crate) fn read(handle: Handle) -> Option<f64> {
    let (word, value) = unpack(cell(handle)?.load(Acquire));
    (word == handle.word()).then_some(value)
}

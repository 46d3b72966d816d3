//! A number that goes up and down and can be set: one place that all threads share.
//!
//! The place holds the generation beside the value, in 128 bits that are exchanged together, so that a handle of a
//! removed series can never write into the next one.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::{Mutex, OnceLock};

use portable_atomic::AtomicU128;

use super::handle::Handle;
use crate::lock::lock;

const FIRST_PAGE: usize = 64;
const PAGES: usize = 26;

static CELLS: [OnceLock<Box<[AtomicU128]>>; PAGES] = [const { OnceLock::new() }; PAGES];
static PLACES: Mutex<Places> = Mutex::new(Places { used: 0, free: Vec::new() });

struct Places {
    used: u32,
    free: Vec<Handle>,
}

/// Where place number `place` lies: its page and the offset in it.
fn locate(place: u32) -> (usize, usize) {
    let position = place as usize + FIRST_PAGE;
    let page = (position.ilog2() - FIRST_PAGE.ilog2()) as usize;
    (page, position - (FIRST_PAGE << page))
}

fn cell(handle: Handle) -> Option<&'static AtomicU128> {
    let (page, offset) = locate(handle.place());
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

/// A new gauge at 0, or `None` when all places are in use.
pub(crate) fn allocate() -> Option<Handle> {
    let handle = {
        let mut places = lock(&PLACES);
        match places.free.pop() {
            Some(last) => Handle::new(last.place(), last.generation() + 1),
            None if locate(places.used).0 < PAGES => {
                places.used += 1;
                Handle::new(places.used - 1, 1)
            }
            None => return None,
        }
    };
    let (page, offset) = locate(handle.place());
    let cells = CELLS[page].get_or_init(|| (0..FIRST_PAGE << page).map(|_| AtomicU128::new(0)).collect());
    cells[offset].store(pack(handle, 0.0), Release);
    Some(handle)
}

#[cfg(test)]
pub(crate) fn hold_lock() -> impl Sized {
    lock(&PLACES)
}

/// Ends the series of `handle`.
pub(crate) fn free(handle: Handle) {
    let ended = update_word(handle, |_| None);
    if ended && handle.generation() < u32::MAX {
        lock(&PLACES).free.push(handle);
    }
}

/// Replaces the value by what `change` makes of it; nothing if the series has ended.
#[inline]
pub(crate) fn update(handle: Handle, change: impl Fn(f64) -> f64) {
    update_word(handle, |value| Some(change(value)));
}

/// True if `handle` was live; `None` from `change` ends it.
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

/// The gauge's value; `None` if its series has ended.
pub(crate) fn read(handle: Handle) -> Option<f64> {
    let (word, value) = unpack(cell(handle)?.load(Acquire));
    (word == handle.word()).then_some(value)
}

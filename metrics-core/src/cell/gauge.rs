//! A number that goes up and down and can be set. All threads share its slot.

use std::sync::{Mutex, OnceLock};

use super::gauge_slot::{self, GaugeSlot};
use super::handle::Handle;
use crate::lock::lock;

const FIRST_PAGE: usize = 64;
const PAGES: usize = 26;

static CELLS: [OnceLock<Box<[GaugeSlot]>>; PAGES] = [const { OnceLock::new() }; PAGES];
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

fn cell(handle: Handle) -> Option<&'static GaugeSlot> {
    let (page, offset) = locate(handle.slot());
    CELLS.get(page)?.get()?.get(offset)
}

/// Allocates a gauge with the value 0, or returns `None` if no slot or memory is available.
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
    match cells(page) {
        Some(cells) => {
            gauge_slot::begin(&cells[offset], handle);
            Some(handle)
        }
        None => {
            give_back(handle);
            None
        }
    }
}

/// The gauges of a page, which is allocated if necessary; `None` if memory is exhausted.
///
/// Threads may allocate the same page concurrently; the first one to finish wins.
fn cells(page: usize) -> Option<&'static [GaugeSlot]> {
    if CELLS[page].get().is_none() {
        let len = FIRST_PAGE << page;
        let mut cells = Vec::new();
        cells.try_reserve_exact(len).ok()?;
        cells.resize_with(len, || GaugeSlot::new(0));
        let _ = CELLS[page].set(cells.into_boxed_slice());
    }
    CELLS[page].get().map(Box::as_ref)
}

/// Makes a slot available to another gauge. Without memory for the list, the slot is lost.
fn give_back(handle: Handle) {
    let mut slots = lock(&SLOTS);
    if slots.free.try_reserve(1).is_ok() {
        slots.free.push(handle);
    }
}

#[cfg(test)]
pub(crate) fn hold_lock() -> impl Sized {
    lock(&SLOTS)
}

/// Ends the series of `handle`.
pub(crate) fn free(handle: Handle) {
    let ended = cell(handle).is_some_and(|slot| gauge_slot::end(slot, handle));
    if ended && handle.generation() < u32::MAX {
        give_back(handle);
    }
}

/// Replaces the value with `change(value)`. Does nothing if the series has ended.
#[inline]
pub(crate) fn update(handle: Handle, change: impl Fn(f64) -> f64) {
    if let Some(slot) = cell(handle) {
        gauge_slot::update(slot, handle, change);
    }
}

/// Returns the gauge's value, or `None` if its series has ended.
pub(crate) fn read(handle: Handle) -> Option<f64> {
    gauge_slot::read(cell(handle)?, handle)
}

//! The slot of a gauge: the generation and the value in 128 bits, which are updated by a single compare-and-swap. The
//! handle of a removed series can therefore never write to the series that reuses the slot.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

use super::handle::Handle;
pub(crate) use super::sync::AtomicU128 as GaugeSlot;

fn pack(handle: Handle, value: f64) -> u128 {
    u128::from(handle.word()) << 64 | u128::from(value.to_bits())
}

fn unpack(cell: u128) -> (u64, f64) {
    let word = u64::try_from(cell >> 64).unwrap_or_default();
    let bits = u64::try_from(cell & u128::from(u64::MAX)).unwrap_or_default();
    (word, f64::from_bits(bits))
}

/// Begins a series with the value 0. The previous series of the slot must have ended.
pub(crate) fn begin(slot: &GaugeSlot, handle: Handle) {
    slot.store(pack(handle, 0.0), Release);
}

/// Ends the series of `handle`. Returns false if it has already ended.
pub(crate) fn end(slot: &GaugeSlot, handle: Handle) -> bool {
    update_or_end(slot, handle, |_| None)
}

/// Replaces the value with `change(value)`. Does nothing if the series has ended.
#[inline]
pub(crate) fn update(slot: &GaugeSlot, handle: Handle, change: impl Fn(f64) -> f64) {
    update_or_end(slot, handle, |value| Some(change(value)));
}

/// Returns the value, or `None` if the series has ended.
pub(crate) fn read(slot: &GaugeSlot, handle: Handle) -> Option<f64> {
    let (word, value) = unpack(slot.load(Acquire));
    (word == handle.word()).then_some(value)
}

/// Replaces the value with `change(value)`, or ends the series if `change` returns `None`. Returns false if the series
/// has already ended.
#[inline]
fn update_or_end(slot: &GaugeSlot, handle: Handle, change: impl Fn(f64) -> Option<f64>) -> bool {
    let mut now = slot.load(Acquire);
    loop {
        let (word, value) = unpack(now);
        if word != handle.word() {
            return false;
        }
        let next = change(value).map_or(0, |value| pack(handle, value));
        match slot.compare_exchange_weak(now, next, AcqRel, Acquire) {
            Ok(_) => return true,
            Err(newer) => now = newer,
        }
    }
}

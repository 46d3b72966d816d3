//! The limit on concurrent scrapes.
//!
//! Refusing new scrapes at the limit would favor slow clients, which keep their slots longest. Instead, when the limit
//! is reached, the server cuts off the scrape whose client has gone longest without reading, provided that this is at
//! least one second or that the response has taken longer than a minute. If there is no such scrape, or if 1,000
//! scrapes already wait for collectors, the new one gets status 503.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use crate::lock::lock;

/// Requests that may wait for collectors; each costs a few hundred bytes.
const MAX_WAITING: usize = 1_000;
/// A client that has read nothing for this long makes room for another, if there is none.
const STALL_AFTER: Duration = Duration::from_secs(1);
/// So does one whose answer takes longer than this.
const MAX_RESPONSE_TIME: Duration = Duration::from_secs(60);

/// Slots for scrapes; each is held until the client has taken the last byte of the response, or is gone.
#[derive(Debug)]
pub(crate) struct ScrapeSlots {
    most: usize,
    epoch: Instant,
    held: Mutex<Vec<Arc<HeldSlot>>>,
    waiting: AtomicUsize,
}

/// A request that waits for collectors.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<ScrapeSlots>);

#[derive(Debug)]
struct HeldSlot {
    begun: Instant,
    /// When the client last took something, in milliseconds since the slots' epoch; 0 until there is something to take.
    taken: AtomicU64,
    is_revoked: AtomicBool,
}

/// A slot, released when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<ScrapeSlots>,
    held: Arc<HeldSlot>,
}

/// The slot was given to another scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Revoked;

impl ScrapeSlots {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, epoch: Instant::now(), held: Mutex::default(), waiting: AtomicUsize::new(0) })
    }

    /// Those of this registry, which all share that do not bring their own.
    pub(crate) fn of(registry: u64, most: usize) -> Arc<Self> {
        static OF_REGISTRIES: Mutex<BTreeMap<u64, Weak<ScrapeSlots>>> = Mutex::new(BTreeMap::new());
        let mut all = lock(&OF_REGISTRIES);
        if let Some(slots) = all.get(&registry).and_then(Weak::upgrade) {
            return slots;
        }
        all.retain(|_, slots| slots.strong_count() > 0);
        let slots = Self::new(most);
        all.insert(registry, Arc::downgrade(&slots));
        slots
    }

    /// Leave to wait, which is given back when it is dropped; `None` if too many wait.
    pub(crate) fn wait(self: &Arc<Self>) -> Option<Waiting> {
        let waiting = Waiting(Arc::clone(self));
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        (before < MAX_WAITING).then_some(waiting)
    }

    /// A slot, if one is free or held for a client that does not read.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Slot> {
        let mut held = lock(&self.held);
        if held.len() >= self.most {
            let stalled = held.iter().enumerate().filter_map(|(at, held)| Some((self.stalled_for(held)?, at)));
            let (_, at) = stalled.max()?;
            held.swap_remove(at).is_revoked.store(true, Ordering::Relaxed);
        }
        let taken = AtomicU64::new(0);
        let new = Arc::new(HeldSlot { begun: Instant::now(), taken, is_revoked: AtomicBool::new(false) });
        held.push(Arc::clone(&new));
        Some(Slot { slots: Arc::clone(self), held: new })
    }

    /// For how long its client has read nothing, if that is too long; any time at all once the answer takes too long.
    fn stalled_for(&self, held: &HeldSlot) -> Option<u64> {
        let taken = held.taken.load(Ordering::Relaxed);
        let since = self.now().saturating_sub(taken);
        let stalled = u128::from(since) >= STALL_AFTER.as_millis() || held.begun.elapsed() >= MAX_RESPONSE_TIME;
        (taken > 0 && stalled).then_some(since)
    }

    /// Milliseconds since the epoch, never 0.
    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

impl Slot {
    /// Notes that the client takes something.
    pub(crate) fn touch(&self) -> Result<(), Revoked> {
        self.held.taken.store(self.slots.now(), Ordering::Relaxed);
        if self.held.is_revoked.load(Ordering::Relaxed) { Err(Revoked) } else { Ok(()) }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.slots.held).retain(|held| !Arc::ptr_eq(held, &self.held));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_until_stalled(slots: &ScrapeSlots, slot: &Slot) {
        while slots.stalled_for(&slot.held).is_none() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_client_that_does_not_read_makes_room() {
        let slots = ScrapeSlots::new(2);
        let (first, second) = (slots.take().expect("free"), slots.take().expect("free"));
        // Nothing is there to be read yet: collectors are still at work.
        assert!(slots.take().is_none());
        assert_eq!((first.touch(), second.touch()), (Ok(()), Ok(())));
        assert!(slots.take().is_none());
        wait_until_stalled(&slots, &first);
        assert_eq!(second.touch(), Ok(()));
        let third = slots.take().expect("made by the first");
        assert_eq!((first.touch(), second.touch(), third.touch()), (Err(Revoked), Ok(()), Ok(())));
        drop(first);
        assert!(slots.take().is_none());
        drop(second);
        assert!(slots.take().is_some());
    }
}

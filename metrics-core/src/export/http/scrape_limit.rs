//! The limit on concurrent scrapes.
//!
//! Refusing new scrapes at the limit would favor slow clients, which keep their slots longest. Instead, scrapes queue for a
//! slot, in the order in which they came, for as long as their clients wait. The first in the queue gets the next slot that
//! becomes free, or that of the scrape whose client has gone longest without reading, provided that this is at least four
//! seconds or that the response has taken longer than a minute. A scrape whose time is over, or that finds 64 others in the
//! queue or 1,000 at collectors, gets status 503.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::alarm::Alarm;
use crate::lock::lock;
use crate::logging::guarded;
use crate::per_process::PerProcess;

/// Requests that may wait for collectors, or for a slot after that; each costs a few hundred bytes.
const MAX_WAITING: usize = 1_000;
/// Requests that may wait for a slot; each holds what its collectors have shown, and totals that it has read early.
const MAX_QUEUED: usize = 64;
/// A client that has read nothing for this long makes room for another, if there is none.
const STALL_AFTER: Duration = Duration::from_secs(4);
/// How often the first in the queue looks for a client that has stopped reading.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// So does one whose answer takes longer than this.
const MAX_RESPONSE_TIME: Duration = Duration::from_secs(60);

/// Slots for scrapes; each is held until the client has taken the last byte of the response, or is gone.
#[derive(Debug)]
pub(crate) struct ScrapeSlots {
    most: usize,
    epoch: Instant,
    /// A forked child neither sends the responses of its parent nor has its waiting scrapes.
    state: PerProcess<SlotsState>,
}

#[derive(Debug, Default)]
struct SlotsState {
    held: Mutex<Vec<Arc<HeldSlot>>>,
    queue: Mutex<Queue>,
    waiting: AtomicUsize,
}

/// Scrapes that wait for a slot, the first one first.
#[derive(Debug, Default)]
struct Queue {
    last: u64,
    waiting: VecDeque<(u64, Arc<Waker>)>,
}

impl Queue {
    /// The waker of the first scrape, to be woken without the lock.
    fn first(&self) -> Option<Arc<Waker>> {
        self.waiting.front().map(|(_, waker)| Arc::clone(waker))
    }
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
        Arc::new(Self { most, epoch: Instant::now(), state: PerProcess::new() })
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
        let before = self.state.get().waiting.fetch_add(1, Ordering::Relaxed);
        (before < MAX_WAITING).then_some(waiting)
    }

    /// A slot, once it is this scrape's turn and one is free or held for a client that does not read; `None` at the
    /// deadline.
    pub(crate) fn take_until(self: &Arc<Self>, deadline: Instant) -> TakeSlot {
        TakeSlot { slots: Arc::clone(self), deadline, ticket: None, alarm: None }
    }

    fn wake_first(&self) {
        let first = lock(&self.state.get().queue).first();
        if let Some(waker) = first {
            let _ = guarded(|| waker.wake_by_ref());
        }
    }

    fn take(self: &Arc<Self>) -> Option<Slot> {
        let mut held = lock(&self.state.get().held);
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

/// Waits for a slot.
#[derive(Debug)]
pub(crate) struct TakeSlot {
    slots: Arc<ScrapeSlots>,
    deadline: Instant,
    /// The place in the queue.
    ticket: Option<u64>,
    alarm: Option<Alarm>,
}

impl TakeSlot {
    /// Returns true if this scrape is the first in the queue, which it joins if it has not yet.
    fn is_first(&mut self, waker: &Waker) -> bool {
        let new = Arc::new(waker.clone());
        let (is_first, unused) = {
            let mut queue = lock(&self.slots.state.get().queue);
            let ticket = *self.ticket.get_or_insert_with(|| {
                queue.last += 1;
                queue.last
            });
            let is_first = queue.waiting.front().is_none_or(|(first, _)| *first == ticket);
            match queue.waiting.iter_mut().find(|(other, _)| *other == ticket) {
                Some((_, waker)) => (is_first, Some(std::mem::replace(waker, new))),
                None => {
                    queue.waiting.push_back((ticket, new));
                    (is_first, None)
                }
            }
        };
        let _ = guarded(|| drop(unused));
        is_first
    }

    /// Returns true if too many others wait for a slot.
    fn is_beyond_queue(&self) -> bool {
        let queue = lock(&self.slots.state.get().queue);
        let ahead = queue.waiting.iter().take_while(|(other, _)| Some(*other) != self.ticket).count();
        ahead >= MAX_QUEUED
    }

    /// Leaves the queue to the others.
    fn leave(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let mut left = None;
        {
            let mut queue = lock(&self.slots.state.get().queue);
            if let Some(at) = queue.waiting.iter().position(|(other, _)| *other == ticket) {
                left = queue.waiting.remove(at);
            }
        }
        let _ = guarded(|| drop(left));
        self.slots.wake_first();
    }
}

impl Future for TakeSlot {
    type Output = Option<Slot>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Slot>> {
        let is_first = self.is_first(cx.waker());
        let slot = if is_first { self.slots.take() } else { None };
        let now = Instant::now();
        if slot.is_none() && now < self.deadline && !self.is_beyond_queue() {
            // The others are told when they become the first.
            let at = if is_first { self.deadline.min(now + LOOK_AGAIN) } else { self.deadline };
            self.alarm = Alarm::set(at, cx.waker());
            if self.alarm.is_some() {
                return Poll::Pending;
            }
            // Without an alarm, nobody would wake the task at the deadline.
        }
        self.alarm = None;
        self.leave();
        Poll::Ready(slot)
    }
}

impl Drop for TakeSlot {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let fewer = |waiting: usize| waiting.checked_sub(1);
        // In a forked child, the request of its parent was never counted.
        self.0.state.get().waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).ok();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.slots.state.get().held).retain(|held| !Arc::ptr_eq(held, &self.held));
        self.slots.wake_first();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alarm::tests::Wakes;

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

    #[test]
    fn the_scrape_that_came_first_gets_the_next_slot() {
        let slots = ScrapeSlots::new(1);
        let (wakes, others) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
        let poll = |take: &mut TakeSlot, wakes: &Arc<Wakes>| {
            let waker = Waker::from(Arc::clone(wakes));
            match Pin::new(take).poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(slot) => Some(slot.expect("there is time")),
                Poll::Pending => None,
            }
        };
        let deadline = Instant::now() + Duration::from_secs(600);
        let held = poll(&mut slots.take_until(deadline), &others).expect("free");
        let [mut first, mut second, mut third] = [0; 3].map(|_| slots.take_until(deadline));
        assert!(poll(&mut first, &wakes).is_none());
        assert!(poll(&mut second, &others).is_none());
        let woken = wakes.count();
        drop(held);
        assert!(wakes.count() > woken, "the first is told");
        // A newcomer does not overtake those who wait.
        assert!(poll(&mut third, &others).is_none());
        assert!(poll(&mut second, &others).is_none());
        let held = poll(&mut first, &wakes).expect("its turn");
        drop(second);
        drop(held);
        assert!(poll(&mut third, &others).is_some(), "the second has left");
        assert!(lock(&slots.state.get().queue).waiting.is_empty());
        let mut late = slots.take_until(Instant::now());
        let mut cx = Context::from_waker(Waker::noop());
        let slot = Pin::new(&mut late).poll(&mut cx);
        assert!(matches!(slot, Poll::Ready(Some(_))), "a free slot needs no time");
        assert!(matches!(Pin::new(&mut slots.take_until(Instant::now())).poll(&mut cx), Poll::Ready(None)));
    }
}

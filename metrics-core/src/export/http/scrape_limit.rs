//! The limit on concurrent scrapes.
//!
//! Refusing new scrapes at the limit would favor slow clients, which keep their slots longest. Instead, scrapes queue for
//! a slot, in the order in which their collectors have finished, for as long as their clients wait. A slot that becomes
//! free is handed to the first scrape in the queue, so a free slot means that the queue is empty. While all slots are
//! held, the alarm thread looks at them twice a second, and takes one from the client that has gone longest without
//! taking any of its response, if that is too long. A scrape whose time is over, or that finds 64 others in the queue or
//! 1,000 at collectors, gets status 503.

mod slots;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use crate::alarm::Alarm;
use crate::lock::lock;
use crate::logging::guarded;
use crate::per_process::PerProcess;
use slots::{LOOK, SlotState, Slots};

/// Requests that may wait for collectors, or for a slot after that; each costs a few hundred bytes.
const MAX_WAITING: usize = 1_000;
/// Requests that may wait for a slot; each holds the results of its collectors.
const MAX_QUEUED: usize = 64;
/// Slots for scrapes. Each is held until the server has encoded the last byte of the response, or the client is gone.
#[derive(Debug)]
pub(crate) struct ScrapeSlots {
    most: usize,
    /// A forked child neither sends the responses of its parent nor has its waiting scrapes.
    state: PerProcess<SlotsState>,
}

#[derive(Debug, Default)]
struct SlotsState {
    slots: Mutex<Slots>,
    /// Wakes the slots for the next look, while all of them are held.
    watch: Mutex<Option<Alarm>>,
    waiting: AtomicUsize,
}

/// A request that waits for collectors.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<ScrapeSlots>);

/// A slot, released when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<ScrapeSlots>,
    state: Arc<SlotState>,
}

/// The progress of the client that a slot is held for, as the connection sees it.
#[derive(Debug)]
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only the server sees the connection"))]
pub(crate) struct Progress(Arc<SlotState>);

/// The slot was given to another scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Revoked;

impl ScrapeSlots {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: PerProcess::new() })
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

    /// Hands slots to the first scrapes in the queue, as far as there are any, and sees to it that somebody looks again
    /// while all are held.
    fn advance(self: &Arc<Self>) {
        let state = self.state.get();
        let (woken, watches) = {
            let mut slots = lock(&state.slots);
            slots.look(Instant::now());
            let woken = slots.hand_out(self.most);
            let watches = slots.held.len() >= self.most && !slots.is_watched;
            slots.is_watched |= watches;
            (woken, watches)
        };
        for waker in woken {
            let _ = guarded(|| waker.wake());
        }
        if watches {
            // One at a time: a thread that is held up here must not replace a later alarm.
            let mut watch = lock(&state.watch);
            let alarm = Alarm::set(Instant::now() + LOOK, &Waker::from(Arc::clone(self)));
            if alarm.is_none() {
                // Without a thread for it, the next scrape looks.
                lock(&state.slots).is_watched = false;
            }
            *watch = alarm;
        }
    }
}

/// The alarm for the next look.
impl Wake for ScrapeSlots {
    fn wake(self: Arc<Self>) {
        lock(&self.state.get().slots).is_watched = false;
        self.advance();
    }
}

impl Slot {
    /// Notes that the client takes something.
    pub(crate) fn touch(&self) -> Result<(), Revoked> {
        self.state.progress.fetch_add(1, Ordering::Relaxed);
        if self.state.is_revoked.load(Ordering::Relaxed) { Err(Revoked) } else { Ok(()) }
    }

    /// For the connection, which sees each part that the client takes.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only the server sees the connection"))]
    pub(crate) fn progress(&self) -> Progress {
        self.state.is_observed.store(true, Ordering::Relaxed);
        Progress(Arc::clone(&self.state))
    }
}

#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only the server sees the connection"))]
impl Progress {
    /// Notes that the client has taken something.
    pub(crate) fn touch(&self) {
        self.0.progress.fetch_add(1, Ordering::Relaxed);
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
    /// Joins the queue, unless it is full, and remembers whom to wake.
    fn join(&mut self, waker: &Waker) {
        static LAST: AtomicU64 = AtomicU64::new(0);
        // A waker is code of a runtime, so it is neither cloned nor dropped under the lock.
        let new = waker.clone();
        let unused = {
            let mut slots = lock(&self.slots.state.get().slots);
            let has_room = slots.queue.len() < MAX_QUEUED;
            match slots.queue.iter_mut().find(|(ticket, _)| Some(*ticket) == self.ticket) {
                Some((_, waker)) => Some(std::mem::replace(waker, new)),
                None if self.ticket.is_none() && has_room => {
                    // The numbers are those of the program, so that a forked child does not take its parent's for its own.
                    let ticket = LAST.fetch_add(1, Ordering::Relaxed);
                    self.ticket = Some(ticket);
                    slots.queue.push_back((ticket, new));
                    None
                }
                None => Some(new),
            }
        };
        let _ = guarded(|| drop(unused));
    }

    /// Returns true if this scrape is in the queue: it was not full, and nobody took back a slot that was handed to it.
    fn is_queued(&self) -> bool {
        let slots = lock(&self.slots.state.get().slots);
        slots.queue.iter().any(|(ticket, _)| Some(*ticket) == self.ticket)
    }

    /// The slot that was handed to this scrape.
    fn handed(&mut self) -> Option<Slot> {
        let ticket = self.ticket?;
        let state = lock(&self.slots.state.get().slots).handed.remove(&ticket)?;
        self.ticket = None;
        Some(Slot { slots: Arc::clone(&self.slots), state })
    }

    /// Leaves the queue, and what was handed to it, to the others.
    fn leave(&mut self) {
        // A slot that is dropped goes to the next.
        drop(self.handed());
        let Some(ticket) = self.ticket.take() else { return };
        let left = {
            let mut slots = lock(&self.slots.state.get().slots);
            let at = slots.queue.iter().position(|(other, _)| *other == ticket);
            at.and_then(|at| slots.queue.remove(at))
        };
        let _ = guarded(|| drop(left));
    }
}

impl Future for TakeSlot {
    type Output = Option<Slot>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Slot>> {
        self.join(cx.waker());
        self.slots.advance();
        let slot = self.handed();
        if slot.is_none() && self.is_queued() && Instant::now() < self.deadline {
            self.alarm = Alarm::set(self.deadline, cx.waker());
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
        lock(&self.slots.state.get().slots).held.retain(|held| !Arc::ptr_eq(&held.state, &self.state));
        self.slots.advance();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::slots::{MAX_RESPONSE_LOOKS, STALL_LOOKS, UNOBSERVED_STALL_LOOKS};
    use super::*;
    use crate::alarm::tests::Wakes;

    fn take(slots: &Arc<ScrapeSlots>) -> Option<Slot> {
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(&mut slots.take_until(Instant::now())).poll(&mut cx) {
            Poll::Ready(slot) => slot,
            Poll::Pending => None,
        }
    }

    /// As many looks as happen in `looks` half seconds.
    fn look(slots: &ScrapeSlots, looks: u32) {
        let mut state = lock(&slots.state.get().slots);
        let begin = state.last_look.unwrap_or_else(Instant::now);
        (1..=looks).for_each(|look| state.look(begin + LOOK * look));
    }

    #[test]
    fn a_client_that_does_not_read_makes_room() {
        let slots = ScrapeSlots::new(2);
        let (first, second) = (take(&slots).expect("free"), take(&slots).expect("free"));
        let progress = second.progress();
        assert!(take(&slots).is_none());
        assert_eq!((first.touch(), second.touch()), (Ok(()), Ok(())));
        assert!(take(&slots).is_none());
        look(&slots, STALL_LOOKS);
        // The system may have taken for the first, which nobody observes, more than it reads in this time.
        progress.touch();
        look(&slots, 1);
        assert!(take(&slots).is_none());
        for _ in STALL_LOOKS..=UNOBSERVED_STALL_LOOKS {
            progress.touch();
            look(&slots, 1);
        }
        let third = take(&slots).expect("made by the first");
        assert_eq!((first.touch(), second.touch(), third.touch()), (Err(Revoked), Ok(()), Ok(())));
        drop(first);
        assert!(take(&slots).is_none());
        look(&slots, STALL_LOOKS + 1);
        let fourth = take(&slots).expect("made by the second, which is observed");
        assert_eq!((second.touch(), third.touch()), (Err(Revoked), Ok(())));
        drop((second, third));
        assert!(take(&slots).is_some());
        drop(fourth);
    }

    #[test]
    fn a_response_that_takes_a_minute_makes_room_although_it_is_read() {
        let slots = ScrapeSlots::new(1);
        let held = take(&slots).expect("free");
        for _ in 0..MAX_RESPONSE_LOOKS {
            assert!(take(&slots).is_none());
            held.touch().expect("held");
            look(&slots, 1);
        }
        assert!(take(&slots).is_some());
    }

    #[test]
    fn a_slot_that_was_handed_to_a_task_that_is_not_polled_goes_to_the_next() {
        let slots = ScrapeSlots::new(1);
        let held = take(&slots).expect("free");
        let deadline = Instant::now() + Duration::from_secs(600);
        let mut cx = Context::from_waker(Waker::noop());
        let mut forgotten = slots.take_until(deadline);
        assert!(Pin::new(&mut forgotten).poll(&mut cx).is_pending());
        drop(held);
        assert!(take(&slots).is_none(), "it was handed to the first");
        look(&slots, UNOBSERVED_STALL_LOOKS + 1);
        assert!(take(&slots).is_some());
        assert!(matches!(Pin::new(&mut forgotten).poll(&mut cx), Poll::Ready(None)));
    }

    #[test]
    fn while_all_slots_are_held_somebody_looks() {
        let slots = ScrapeSlots::new(1);
        let held = take(&slots).expect("free");
        held.touch().expect("held");
        let looks = || lock(&slots.state.get().slots).held[0].looks;
        let begin = Instant::now();
        while looks() < 3 {
            assert!(begin.elapsed() < Duration::from_secs(60), "nobody looks");
            std::thread::yield_now();
        }
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
        // What was handed to a scrape that does not take it goes to the next.
        let mut fourth = slots.take_until(deadline);
        assert!(poll(&mut fourth, &others).is_none());
        drop(third);
        assert!(poll(&mut fourth, &others).is_some(), "the third has left");
        assert!(lock(&slots.state.get().slots).queue.is_empty());
    }

    #[test]
    fn a_free_slot_needs_no_time_and_a_full_queue_refuses() {
        let slots = ScrapeSlots::new(1);
        let held = take(&slots).expect("free");
        assert!(take(&slots).is_none(), "its time is over");
        let deadline = Instant::now() + Duration::from_secs(600);
        let mut cx = Context::from_waker(Waker::noop());
        let mut queued: Vec<_> = (0..MAX_QUEUED).map(|_| slots.take_until(deadline)).collect();
        assert!(queued.iter_mut().all(|take| Pin::new(take).poll(&mut cx).is_pending()));
        let mut late = slots.take_until(deadline);
        assert!(matches!(Pin::new(&mut late).poll(&mut cx), Poll::Ready(None)));
        drop(queued);
        drop(held);
        assert!(take(&slots).is_some());
    }
}

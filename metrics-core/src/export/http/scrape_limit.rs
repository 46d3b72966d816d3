//! The limit on concurrent scrapes.
//!
//! Refusing new scrapes at the limit would favor slow clients, which keep their slots longest. Instead, a scrape joins
//! a queue when its collectors have finished, and waits until it gets a slot or its time runs out. A slot that becomes
//! free is handed to the first scrape in the queue, so a slot is free only if the queue is empty.
//!
//! While all slots are held, the alarm thread checks them twice a second. If a scrape is in the queue, the thread
//! revokes the slot of the client that has made no progress for the longest time. A scrape gets status 503 if its time
//! runs out, if 64 others are in the queue, or if 1,000 others are waiting for collectors or a slot.

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
pub(crate) use slots::Progress;
use slots::{LOOK, SlotState, Slots};

/// The maximum number of requests waiting for collectors or for a slot. Each request uses a few hundred bytes.
const MAX_WAITING: usize = 1_000;
/// The maximum number of requests waiting for a slot. Each request holds the results of its collectors.
const MAX_QUEUED: usize = 64;

/// The slots for concurrent scrapes. A slot is held until the client has read the whole response or has disconnected.
#[derive(Debug)]
pub(crate) struct ScrapeSlots {
    most: usize,
    /// Per process, because a forked child has neither the responses nor the waiting scrapes of its parent.
    state: PerProcess<SlotsState>,
}

#[derive(Debug, Default)]
struct SlotsState {
    slots: Mutex<Slots>,
    /// The alarm for the next periodic check, set while all slots are held.
    watch: Mutex<Option<Alarm>>,
    /// The number of requests waiting for collectors or for a slot.
    waiting: AtomicUsize,
}

/// A guard that counts a request waiting for collectors or for a slot.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<ScrapeSlots>);

/// A slot that is released on drop.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<ScrapeSlots>,
    state: Arc<SlotState>,
}

/// The error returned if a slot was handed to another scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Revoked;

impl ScrapeSlots {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: PerProcess::new() })
    }

    /// Returns the slots shared by all expositions of a registry that do not set their own limit.
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

    /// Returns a guard that counts a waiting request, or `None` if too many are waiting.
    pub(crate) fn wait(self: &Arc<Self>) -> Option<Waiting> {
        let waiting = Waiting(Arc::clone(self));
        let before = self.state.get().waiting.fetch_add(1, Ordering::Relaxed);
        (before < MAX_WAITING).then_some(waiting)
    }

    /// Waits for a slot to become free or to be taken from a stalled client.
    ///
    /// Resolves to `None` at the deadline, or immediately if the queue is full.
    pub(crate) fn take_until(self: &Arc<Self>, deadline: Instant) -> TakeSlot {
        TakeSlot { slots: Arc::clone(self), deadline, ticket: None, alarm: None }
    }

    /// Hands available slots to the first scrapes in the queue.
    ///
    /// While all slots are held, also sets the alarm for the next periodic check.
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
            // The lock is held until the alarm is stored, so a delayed thread cannot replace a newer alarm.
            let mut watch = lock(&state.watch);
            let alarm = Alarm::set(Instant::now() + LOOK, &Waker::from(Arc::clone(self)));
            if alarm.is_none() {
                // Without an alarm thread, the next scrape checks the slots instead.
                lock(&state.slots).is_watched = false;
            }
            *watch = alarm;
        }
    }
}

/// Handles the alarm for the next periodic check.
impl Wake for ScrapeSlots {
    fn wake(self: Arc<Self>) {
        lock(&self.state.get().slots).is_watched = false;
        self.advance();
    }
}

impl Slot {
    /// Records that more of the response was requested. Returns an error if the slot was revoked.
    pub(crate) fn touch(&self) -> Result<(), Revoked> {
        self.state.progress.fetch_add(1, Ordering::Relaxed);
        if self.state.is_revoked.load(Ordering::Relaxed) { Err(Revoked) } else { Ok(()) }
    }

    /// Returns a handle that the connection uses to record the bytes that the system accepts.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only the server sees the connection"))]
    pub(crate) fn progress(&self) -> Progress {
        self.state.is_observed.store(true, Ordering::Relaxed);
        Progress(Arc::clone(&self.state))
    }
}

/// A future that waits for a slot; see [`ScrapeSlots::take_until`].
#[derive(Debug)]
pub(crate) struct TakeSlot {
    slots: Arc<ScrapeSlots>,
    deadline: Instant,
    /// The ticket of this scrape in the queue, if it has joined the queue.
    ticket: Option<u64>,
    alarm: Option<Alarm>,
}

impl TakeSlot {
    /// Joins the queue unless it is full, or updates the waker if this scrape has already joined.
    fn join(&mut self, waker: &Waker) {
        static LAST: AtomicU64 = AtomicU64::new(0);
        // Cloning or dropping a waker runs the async runtime's code, so neither happens while the lock is held.
        let new = waker.clone();
        let unused = {
            let mut slots = lock(&self.slots.state.get().slots);
            let has_room = slots.queue.len() < MAX_QUEUED;
            match slots.queue.iter_mut().find(|(ticket, _)| Some(*ticket) == self.ticket) {
                Some((_, waker)) => Some(std::mem::replace(waker, new)),
                None if self.ticket.is_none() && has_room => {
                    // A forked child continues the count, so it never mistakes its parent's ticket for its own.
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

    /// Returns true if this scrape is in the queue. Returns false if the queue was full, or if a slot was handed to
    /// this scrape and then revoked.
    fn is_queued(&self) -> bool {
        let slots = lock(&self.slots.state.get().slots);
        slots.queue.iter().any(|(ticket, _)| Some(*ticket) == self.ticket)
    }

    /// Takes the slot that was handed to this scrape, if any.
    fn handed(&mut self) -> Option<Slot> {
        let ticket = self.ticket?;
        let state = lock(&self.slots.state.get().slots).handed.remove(&ticket)?;
        self.ticket = None;
        Some(Slot { slots: Arc::clone(&self.slots), state })
    }

    /// Leaves the queue. If a slot was handed to this scrape, passes it on.
    fn leave(&mut self) {
        // Dropping the slot hands it to the next scrape.
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
            // Without an alarm, the task would not be woken at the deadline, so it gives up now.
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
        // In a forked child, the count starts at 0 and does not include the parent's requests.
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

    /// Checks the progress of the scrapes `looks` times.
    fn look(slots: &ScrapeSlots, looks: u32) {
        let mut state = lock(&slots.state.get().slots);
        let begin = state.last_look.unwrap_or_else(Instant::now);
        (1..=looks).for_each(|look| state.look(begin + LOOK * look));
    }

    #[test]
    fn a_client_that_does_not_read_loses_its_slot() {
        let slots = ScrapeSlots::new(2);
        let (first, second) = (take(&slots).expect("free"), take(&slots).expect("free"));
        let progress = second.progress();
        assert!(take(&slots).is_none());
        assert_eq!((first.touch(), second.touch()), (Ok(()), Ok(())));
        assert!(take(&slots).is_none());
        look(&slots, STALL_LOOKS);
        // The progress of the first client is not observed, so that client may still be reading data that the system
        // has buffered.
        progress.touch();
        look(&slots, 1);
        assert!(take(&slots).is_none());
        for _ in STALL_LOOKS..=UNOBSERVED_STALL_LOOKS {
            progress.touch();
            look(&slots, 1);
        }
        let third = take(&slots).expect("revoked from the first");
        assert_eq!((first.touch(), second.touch(), third.touch()), (Err(Revoked), Ok(()), Ok(())));
        drop(first);
        assert!(take(&slots).is_none());
        look(&slots, STALL_LOOKS + 1);
        let fourth = take(&slots).expect("revoked from the second, which is observed");
        assert_eq!((second.touch(), third.touch()), (Err(Revoked), Ok(())));
        drop((second, third));
        assert!(take(&slots).is_some());
        drop(fourth);
    }

    #[test]
    fn a_response_that_takes_a_minute_loses_its_slot_even_if_it_is_read() {
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
    fn a_slot_handed_to_a_task_that_is_never_polled_is_revoked() {
        let slots = ScrapeSlots::new(1);
        let held = take(&slots).expect("free");
        let deadline = Instant::now() + Duration::from_secs(600);
        let mut cx = Context::from_waker(Waker::noop());
        let mut forgotten = slots.take_until(deadline);
        assert!(Pin::new(&mut forgotten).poll(&mut cx).is_pending());
        drop(held);
        assert!(take(&slots).is_none(), "the slot was handed to the first");
        look(&slots, UNOBSERVED_STALL_LOOKS + 1);
        assert!(take(&slots).is_some());
        assert!(matches!(Pin::new(&mut forgotten).poll(&mut cx), Poll::Ready(None)));
    }

    #[test]
    fn the_alarm_thread_looks_while_all_slots_are_held() {
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
        assert!(wakes.count() > woken, "the first scrape is woken");
        // A new scrape does not overtake those in the queue.
        assert!(poll(&mut third, &others).is_none());
        assert!(poll(&mut second, &others).is_none());
        let held = poll(&mut first, &wakes).expect("its turn");
        drop(second);
        drop(held);
        // If a scrape leaves without taking its slot, the next scrape gets the slot.
        let mut fourth = slots.take_until(deadline);
        assert!(poll(&mut fourth, &others).is_none());
        drop(third);
        assert!(poll(&mut fourth, &others).is_some(), "the third has left");
        assert!(lock(&slots.state.get().slots).queue.is_empty());
    }

    #[test]
    fn a_free_slot_is_taken_at_once_and_a_full_queue_refuses() {
        let slots = ScrapeSlots::new(1);
        let held = take(&slots).expect("free");
        assert!(take(&slots).is_none(), "its time has run out");
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

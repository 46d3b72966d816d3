//! The slots, the queue for them, and the decision which one to take from its client.
//!
//! Time is counted in looks. A process that was stopped for a while therefore does not believe that its clients had
//! stopped reading.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

/// How often held slots are looked at while all are held.
pub(super) const LOOK: Duration = Duration::from_millis(500);
/// Looks after which a client of the library's server makes room if it has taken nothing in between: seven seconds. The
/// system accepts up to 200 KiB at once, so a steady reader of 30 kB/s makes visible progress every six seconds.
pub(super) const STALL_LOOKS: u32 = 14;
/// The same for a client of a web framework, of which only polls of the body are seen. The system may have taken
/// megabytes of the response for it, so that a steady reader of 300 kB/s looks idle for this long.
pub(super) const UNOBSERVED_STALL_LOOKS: u32 = 20;
/// Looks after which a response takes too long, even if its client reads steadily: one minute.
pub(super) const MAX_RESPONSE_LOOKS: u32 = 120;

#[derive(Debug, Default)]
pub(super) struct Slots {
    pub(super) held: Vec<HeldSlot>,
    /// Scrapes that wait for a slot, the first one first.
    pub(super) queue: VecDeque<(u64, Waker)>,
    /// Slots that were handed to scrapes that have not taken them yet, by their tickets.
    pub(super) handed: BTreeMap<u64, Arc<SlotState>>,
    pub(super) last_look: Option<Instant>,
    pub(super) is_watched: bool,
}

#[derive(Debug)]
pub(super) struct HeldSlot {
    pub(super) state: Arc<SlotState>,
    /// The place in the queue that it was handed to.
    ticket: u64,
    /// The progress at the last look.
    seen: u64,
    /// Looks since the client last took something.
    idle: u32,
    /// Looks so far.
    pub(super) looks: u32,
}

#[derive(Debug, Default)]
pub(super) struct SlotState {
    /// Grows whenever the client takes something; 0 until there is something to take.
    pub(super) progress: AtomicU64,
    /// Set if bytes are counted that the system has accepted, not only polls of the body.
    pub(super) is_observed: AtomicBool,
    pub(super) is_revoked: AtomicBool,
}

impl Slots {
    /// Counts a look at every slot, unless the last one was just now.
    pub(super) fn look(&mut self, now: Instant) {
        if self.last_look.is_some_and(|last| now.saturating_duration_since(last) < LOOK) {
            return;
        }
        self.last_look = Some(now);
        for held in &mut self.held {
            let progress = held.state.progress.load(Ordering::Relaxed);
            held.looks = held.looks.saturating_add(1);
            held.idle = if progress == held.seen { held.idle.saturating_add(1) } else { 0 };
            held.seen = progress;
        }
    }

    /// Gives slots to those who wait, and returns whom to wake, without the lock.
    pub(super) fn hand_out(&mut self, most: usize) -> Vec<Waker> {
        let mut woken = Vec::new();
        while !self.queue.is_empty() && (self.held.len() < most || self.revoke()) {
            let Some((ticket, waker)) = self.queue.pop_front() else { break };
            let state = Arc::new(SlotState::default());
            self.held.push(HeldSlot { state: Arc::clone(&state), ticket, seen: 0, idle: 0, looks: 0 });
            self.handed.insert(ticket, state);
            woken.push(waker);
        }
        woken
    }

    /// Takes the slot of the client that has been idle longest, if that is too long.
    fn revoke(&mut self) -> bool {
        let stalled = self.held.iter().enumerate().filter(|(_, held)| held.is_stalled());
        let Some((at, _)) = stalled.max_by_key(|(_, held)| held.idle) else { return false };
        let revoked = self.held.swap_remove(at);
        revoked.state.is_revoked.store(true, Ordering::Relaxed);
        // Its scrape may not have been polled since the slot was handed to it.
        self.handed.remove(&revoked.ticket);
        true
    }
}

impl HeldSlot {
    pub(super) fn is_stalled(&self) -> bool {
        let is_observed = self.state.is_observed.load(Ordering::Relaxed);
        let most = if is_observed { STALL_LOOKS } else { UNOBSERVED_STALL_LOOKS };
        self.idle >= most || self.looks >= MAX_RESPONSE_LOOKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_process_does_not_take_slots_from_its_clients() {
        let mut slots = Slots::default();
        slots.queue.push_back((0, Waker::noop().clone()));
        slots.hand_out(1);
        slots.handed[&0].progress.store(1, Ordering::Relaxed);
        let begin = Instant::now();
        slots.look(begin);
        // It stops for a minute, and looks as often as it can after that.
        let after = begin + Duration::from_secs(60);
        (0..1_000).for_each(|look| slots.look(after + Duration::from_micros(look)));
        assert!(!slots.held[0].is_stalled(), "{slots:?}");
        (0..20).for_each(|look| slots.look(after + LOOK * look));
        assert!(slots.held[0].is_stalled(), "{slots:?}");
    }
}

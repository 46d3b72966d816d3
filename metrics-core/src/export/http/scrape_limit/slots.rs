//! The slots, the queue for them, and the policy that chooses which slot to revoke.
//!
//! Time is measured in looks, which are periodic checks of the held slots. No looks occur while the process is
//! suspended, so a suspension does not cost clients their slots.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

/// The interval between looks at the held slots while all slots are held.
pub(super) const LOOK: Duration = Duration::from_millis(500);
/// The number of looks without progress after which a client of the library's server may lose its slot: seven seconds.
///
/// The system accepts up to 200 KiB at once, so a client that reads steadily at 30 kB/s makes visible progress only
/// every six seconds.
pub(super) const STALL_LOOKS: u32 = 14;
/// Like [`STALL_LOOKS`], but for a client served by a web framework, where only polls of the body are observed.
///
/// The system may buffer megabytes of the response, so a client that reads steadily at 300 kB/s may seem idle for this
/// long.
pub(super) const UNOBSERVED_STALL_LOOKS: u32 = 20;
/// The number of looks after which a client may lose its slot even if it reads steadily: one minute.
pub(super) const MAX_RESPONSE_LOOKS: u32 = 120;

#[derive(Debug, Default)]
pub(super) struct Slots {
    pub(super) held: Vec<HeldSlot>,
    /// The scrapes waiting for a slot, in order of arrival.
    pub(super) queue: VecDeque<(u64, Waker)>,
    /// The slots that have been handed to scrapes but not yet taken, by ticket.
    pub(super) handed: BTreeMap<u64, Arc<SlotState>>,
    pub(super) last_look: Option<Instant>,
    /// `true` if an alarm for the next look is set.
    pub(super) is_watched: bool,
}

#[derive(Debug)]
pub(super) struct HeldSlot {
    pub(super) state: Arc<SlotState>,
    /// The ticket of the scrape that the slot was handed to.
    ticket: u64,
    /// The progress at the last look.
    seen: u64,
    /// The number of looks since the client last made progress.
    idle: u32,
    /// The number of looks since the slot was handed out.
    pub(super) looks: u32,
}

#[derive(Debug, Default)]
pub(super) struct SlotState {
    /// A counter that is incremented whenever the client makes progress. It is 0 until encoding begins.
    pub(super) progress: AtomicU64,
    /// `true` if bytes accepted by the system count as progress, in addition to polls of the body.
    pub(super) is_observed: AtomicBool,
    /// `true` once the slot has been handed to another scrape.
    pub(super) is_revoked: AtomicBool,
}

impl Slots {
    /// Looks at every held slot, unless the last look was less than [`LOOK`] ago.
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

    /// Hands slots to waiting scrapes and returns their wakers. Callers must release the lock before waking them.
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

    /// Revokes the slot of the client that has made no progress for the longest time. Returns false if no client is
    /// stalled.
    fn revoke(&mut self) -> bool {
        let stalled = self.held.iter().enumerate().filter(|(_, held)| held.is_stalled());
        let Some((at, _)) = stalled.max_by_key(|(_, held)| held.idle) else { return false };
        let revoked = self.held.swap_remove(at);
        revoked.state.is_revoked.store(true, Ordering::Relaxed);
        // The scrape may not have taken the slot yet.
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

/// A handle that a connection uses to record the progress of the client that holds a slot.
#[derive(Debug)]
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only the server sees the connection"))]
pub(crate) struct Progress(pub(super) Arc<SlotState>);

#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only the server sees the connection"))]
impl Progress {
    /// Records that the client has made progress.
    pub(crate) fn touch(&self) {
        self.0.progress.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspended_process_does_not_revoke_the_slots_of_its_clients() {
        let mut slots = Slots::default();
        slots.queue.push_back((0, Waker::noop().clone()));
        slots.hand_out(1);
        slots.handed[&0].progress.store(1, Ordering::Relaxed);
        let begin = Instant::now();
        slots.look(begin);
        // The process is suspended for a minute. Then many looks follow in quick succession.
        let after = begin + Duration::from_secs(60);
        (0..1_000).for_each(|look| slots.look(after + Duration::from_micros(look)));
        assert!(!slots.held[0].is_stalled(), "{slots:?}");
        (0..20).for_each(|look| slots.look(after + LOOK * look));
        assert!(slots.held[0].is_stalled(), "{slots:?}");
    }
}

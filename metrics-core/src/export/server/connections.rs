//! A server's open connections and the policy that chooses which one to evict at the limit.
//!
//! Refusing new connections at the limit would favor silent clients. Instead, the server closes the connection whose
//! loss does the least harm, in this order:
//!
//! 1. a connection that has not sent a request yet
//! 2. an idle connection whose last request was not a scrape
//! 3. an idle connection whose last request was a scrape; its client reconnects for the next scrape
//! 4. a connection whose client has not read any of its response for seven seconds
//!
//! If no connection qualifies, the new connection may exceed the limit, but only to receive a single response with
//! status 503. The number of such refusals is limited as well.
//!
//! Among connections that have not sent a request, the server closes the oldest. In a flood of connections, a client is
//! therefore served if its request arrives before the flood has replaced all connections. At 10,000 new connections per
//! second, replacing 512 connections takes 50 milliseconds. Until its request arrives, the client cannot be
//! distinguished from the flood.
//!
//! Time is measured in sweeps. The server runs one sweep per second, but none while the process is suspended, so a
//! suspension does not cause timeouts.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::connection::{Open, Phase, State, Sweeps};
use crate::counter::Counter;
use crate::family::Family;
use crate::lock::lock;
use lazy_static::lazy_static;

/// The number of sweeps after which a client that has not sent its first request is disconnected.
const HEAD_TIMEOUT: u64 = 10;
/// The number of sweeps after which a client that has not sent another request is disconnected.
const IDLE_TIMEOUT: u64 = 150;
/// The number of sweeps after which a client that has not read any of its response is disconnected.
const STALL_TIMEOUT: u64 = 15;
/// The number of sweeps after which a client waiting for collectors is disconnected. A scrape waits for at most half
/// that time.
const ANSWER_TIMEOUT: u64 = 60;
/// The number of sweeps after which a client that has not read any of its response may be evicted. The system accepts
/// up to 200 KiB at once, so a client that reads steadily at 30 kB/s makes visible progress only every six seconds.
const STALL_AFTER: u64 = 7;
/// The maximum number of connections beyond the limit. They get status 503.
const MAX_REFUSALS: usize = 32;
/// The margin that lets collectors open files: if the process runs out of file descriptors, the limit is lowered to the
/// number of open connections minus this margin.
const SPARE_DESCRIPTORS: usize = 8;
/// The minimum for the lowered limit.
const MIN_CONNECTIONS: usize = 8;

lazy_static! {
    static ref CLOSED: Family<Counter, 1> = Counter::builder(
        "metrics_core_connections_closed_total",
        "Connections closed by the metrics server, by reason."
    )
    .labels(["reason"])
    .register();
}

/// The reasons why the server closes connections. Their series are exported at 0 from the start.
const REASONS: [&str; 6] = ["evicted", "handshake", "head_timeout", "idle_timeout", "refused", "stalled"];

/// A server's open connections.
pub(super) struct Connections {
    /// The configured limit.
    most: usize,
    /// The limit in effect, which is lower while file descriptors are scarce.
    limit: AtomicUsize,
    sweeps: Sweeps,
    all: Mutex<All>,
}

#[derive(Default)]
struct All {
    /// The ID of the most recently opened connection. IDs are never reused.
    last: u64,
    open: BTreeMap<u64, Arc<Open>>,
}

impl Connections {
    pub(super) fn new(most: usize) -> Arc<Self> {
        for reason in REASONS {
            CLOSED.labels([reason]);
        }
        Arc::new(Self { most, limit: AtomicUsize::new(most), sweeps: Sweeps::default(), all: Mutex::default() })
    }

    /// Opens a connection. At the limit, closes another connection to make room.
    ///
    /// If no other connection may be closed, the new one only receives a refusal. Returns `None` if the limit on
    /// refusals is reached and no refused connection may be closed.
    pub(super) fn open(self: &Arc<Self>) -> Option<Connection> {
        let (opened, reason) = {
            let mut all = lock(&self.all);
            let sweeps = self.sweeps.load(Ordering::Relaxed);
            let limit = self.limit.load(Ordering::Relaxed);
            let is_full = all.open.values().filter(|open| !open.is_refusal).count() >= limit;
            let evicted = is_full && all.evict(false, sweeps);
            let is_refusal = is_full && !evicted;
            let refusals = all.open.values().filter(|open| open.is_refusal).count();
            if is_refusal && refusals >= MAX_REFUSALS && !all.evict(true, sweeps) {
                (None, Some("refused"))
            } else {
                all.last += 1;
                let id = all.last;
                let open = Arc::new(Open::new(is_refusal, Arc::clone(&self.sweeps)));
                all.open.insert(id, Arc::clone(&open));
                let reason = if is_refusal { Some("refused") } else { evicted.then_some("evicted") };
                (Some(Connection { connections: Arc::clone(self), id, open }), reason)
            }
        };
        // Counted after the lock is released because all connections contend for the lock.
        if let Some(reason) = reason {
            closed(reason);
        }
        opened
    }

    /// Closes a connection because the process has run out of file descriptors, and temporarily lowers the limit.
    ///
    /// Returns false if no connection may be closed.
    pub(super) fn make_room(&self) -> bool {
        let evicted = {
            let mut all = lock(&self.all);
            let sweeps = self.sweeps.load(Ordering::Relaxed);
            let limit = all.open.len().saturating_sub(SPARE_DESCRIPTORS).max(MIN_CONNECTIONS);
            self.limit.fetch_min(limit, Ordering::Relaxed);
            all.evict(true, sweeps) || all.evict(false, sweeps)
        };
        if evicted {
            closed("evicted");
        }
        evicted
    }

    /// Closes the connections that have timed out. Called once a second.
    pub(super) fn sweep(&self) {
        let mut reasons = Vec::new();
        {
            let mut all = lock(&self.all);
            let sweeps = self.sweeps.fetch_add(1, Ordering::Relaxed) + 1;
            all.open.retain(|_, open| {
                let State { phase, sweep, .. } = open.state();
                let (timeout, reason) = match phase {
                    Phase::New => (HEAD_TIMEOUT, "head_timeout"),
                    Phase::Idle | Phase::Scraped => (IDLE_TIMEOUT, "idle_timeout"),
                    Phase::Sending => (STALL_TIMEOUT, "stalled"),
                    Phase::Answering => (ANSWER_TIMEOUT, "stalled"),
                };
                let is_late = sweeps.saturating_sub(sweep) > timeout;
                if is_late {
                    open.close();
                    reasons.push(reason);
                }
                !is_late
            });
        }
        // Descriptors may be available again, so the limit is raised step by step.
        let raised = |limit: usize| (limit < self.most).then(|| self.most.min(limit + 1 + limit / 8));
        self.limit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, raised).ok();
        for reason in reasons {
            closed(reason);
        }
    }

    /// Closes the connections that have not sent a request yet.
    pub(super) fn close_new(&self) {
        lock(&self.all).open.retain(|_, open| {
            let is_new = open.state().phase == Phase::New;
            if is_new {
                open.close();
            }
            !is_new
        });
    }
}

impl Connections {
    /// Returns the number of connections to accept before open connections are polled. The number is small because each
    /// accepted connection can evict a connection whose request has not been read yet.
    pub(super) fn accepted_at_once(&self) -> usize {
        (self.limit.load(Ordering::Relaxed) / 64).clamp(1, 8)
    }
}

impl All {
    /// Closes the connection whose loss does the least harm. If `refusals` is true, considers only refused connections;
    /// otherwise, considers only the others.
    ///
    /// Returns false if none of the considered connections may be closed.
    fn evict(&mut self, refusals: bool, sweeps: u64) -> bool {
        let candidates = self.open.iter().filter(|(_, open)| open.is_refusal == refusals);
        let closable = candidates.filter_map(|(id, open)| {
            let State { phase, since, sweep, .. } = open.state();
            let is_closable = match phase {
                Phase::New | Phase::Idle | Phase::Scraped => true,
                Phase::Sending => sweeps.saturating_sub(sweep) > STALL_AFTER,
                // The sweep closes it if it takes too long.
                Phase::Answering => false,
            };
            is_closable.then_some((phase, since, *id))
        });
        let Some((_, _, id)) = closable.min() else { return false };
        if let Some(open) = self.open.remove(&id) {
            open.close();
        }
        true
    }
}

/// An open connection. Dropping it removes it from [`Connections`].
pub(super) struct Connection {
    connections: Arc<Connections>,
    id: u64,
    open: Arc<Open>,
}

impl Deref for Connection {
    type Target = Open;

    fn deref(&self) -> &Open {
        &self.open
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        lock(&self.connections.all).open.remove(&self.id);
    }
}

/// Counts a connection that the server has closed.
pub(super) fn closed(reason: &str) {
    CLOSED.labels([reason]).inc();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_closed(connection: &Connection) -> bool {
        let mut closed = std::pin::pin!(connection.closed());
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        closed.as_mut().poll(&mut cx).is_ready()
    }

    fn all_closed<const N: usize>(connections: [&Connection; N]) -> [bool; N] {
        connections.map(is_closed)
    }

    #[test]
    fn the_connection_whose_end_harms_least_makes_room() {
        let connections = Connections::new(4);
        let [scrape, scraped, idle, new] = [0; 4].map(|_| connections.open().expect("there is room"));
        scrape.enter(Phase::Answering);
        scraped.enter(Phase::Scraped);
        idle.enter(Phase::Idle);
        let second = connections.open().expect("in place of the new one");
        assert_eq!(all_closed([&scrape, &scraped, &idle, &new]), [false, false, false, true]);
        second.enter(Phase::Sending);
        let third = connections.open().expect("in place of the idle one");
        assert_eq!(all_closed([&scrape, &scraped, &idle]), [false, false, true]);
        third.enter(Phase::Sending);
        let fourth = connections.open().expect("in place of the one that was scraped");
        assert_eq!(all_closed([&scrape, &scraped]), [false, true]);
        fourth.enter(Phase::Sending);
        assert!(!fourth.is_refusal);
        // All connections are busy, so the next one is refused.
        let refused = connections.open().expect("a refusal");
        assert!(refused.is_refusal);
        drop(refused);
        // The third client does not read its response; the second and fourth do.
        for _ in 0..=STALL_AFTER {
            connections.sweep();
            second.progress();
            fourth.progress();
        }
        let fifth = connections.open().expect("in place of the third");
        assert!(!fifth.is_refusal);
        assert_eq!(all_closed([&scrape, &second, &third, &fourth]), [false, false, true, false]);
    }

    #[test]
    fn a_response_that_was_not_fully_sent_is_not_cut_off() {
        let connections = Connections::new(1);
        let first = connections.open().expect("there is room");
        first.begins();
        first.sends(None);
        first.has_produced(Phase::Idle);
        first.progress();
        let second = connections.open().expect("a refusal");
        assert!(second.is_refusal && !is_closed(&first));
        drop(second);
        first.has_flushed();
        let third = connections.open().expect("in place of the first");
        assert!(!third.is_refusal && is_closed(&first));
        // A flush before the whole response is produced does not end the phase.
        third.begins();
        third.has_flushed();
        assert!(connections.open().expect("a refusal").is_refusal);
    }

    #[test]
    fn refusals_are_bounded_and_the_oldest_makes_room() {
        let connections = Connections::new(1);
        let busy = connections.open().expect("there is room");
        busy.enter(Phase::Answering);
        let refusals: Vec<_> = (0..MAX_REFUSALS).map(|_| connections.open().expect("a refusal")).collect();
        let last = connections.open().expect("in place of the first refusal");
        assert!(last.is_refusal);
        assert_eq!(refusals.iter().filter(|refusal| is_closed(refusal)).count(), 1);
        assert!(!is_closed(&busy));
    }

    #[test]
    fn scarce_descriptors_lower_the_limit_for_a_while() {
        let connections = Connections::new(100);
        let opened: Vec<_> = (0..40).map(|_| connections.open().expect("there is room")).collect();
        assert!(connections.make_room());
        assert!(is_closed(&opened[0]));
        let limit = || connections.limit.load(Ordering::Relaxed);
        assert_eq!(limit(), 40 - SPARE_DESCRIPTORS);
        connections.sweep();
        assert!((33..40).contains(&limit()), "the limit is {}", limit());
        drop(opened);
        assert!(!connections.make_room(), "no connection is left");
        for _ in 0..30 {
            connections.sweep();
        }
        assert_eq!(limit(), 100, "after half a minute");
    }

    #[test]
    fn dropping_a_closed_connection_removes_no_other() {
        let connections = Connections::new(1);
        let first = connections.open().expect("there is room");
        let second = connections.open().expect("in place of the first");
        drop(first);
        assert_eq!(lock(&connections.all).open.len(), 1);
        let _third = connections.open().expect("in place of the second");
        assert!(is_closed(&second));
        connections.close_new();
        assert_eq!(lock(&connections.all).open.len(), 0);
    }
}

//! The connections of a server, and the eviction policy when the limit is reached.
//!
//! Refusing new connections at the limit would favor silent clients. Instead, the server closes the connection whose
//! loss does the least harm: first one that has not sent a request yet, then, among those with which nothing has
//! happened for a second, an idle one, one that reads its response too slowly, and one that is still being answered.
//! The new connection is refused only if every other one has been active within the last second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lazy_static::lazy_static;
use tokio::sync::Notify;

use crate::counter::Counter;
use crate::family::Family;
use crate::lock::lock;

/// A client that has not sent its first request for this long is disconnected.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// One that has not sent another, for this long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(150);
/// One that has read nothing of its answer, for this long.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// One that has waited for a collector for this long; they take less time than that.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// One that has sent a request, and with which nothing has happened for this long, goes if there are too many.
const STALL_AFTER: Duration = Duration::from_secs(1);

lazy_static! {
    static ref CLOSED: Family<Counter, 1> = Counter::builder(
        "metrics_core_connections_closed_total",
        "Connections that the metrics server closed by itself."
    )
    .labels(["reason"])
    .register();
}

/// Why the server closes connections; all are there at 0 before the first.
const REASONS: [&str; 6] = ["evicted", "handshake", "head_timeout", "idle_timeout", "refused", "stalled"];

/// All connections that are open.
pub(super) struct Connections {
    most: usize,
    all: Mutex<All>,
}

#[derive(Default)]
struct All {
    /// The number of the connection that was opened last; none is given twice.
    last: u64,
    open: BTreeMap<u64, Arc<Open>>,
}

struct Open {
    phase: Mutex<(Phase, Instant)>,
    close: Notify,
}

/// What a connection does; those whose end harms least come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// No request has come yet.
    New,
    /// An answer was sent, and no other request has come yet.
    Idle,
    /// An answer is being sent.
    Sending,
    /// An answer is being made.
    Answering,
}

/// An open connection.
pub(super) struct Connection {
    connections: Arc<Connections>,
    id: u64,
    open: Arc<Open>,
}

impl Connections {
    pub(super) fn new(most: usize) -> Arc<Self> {
        for reason in REASONS {
            CLOSED.labels([reason]);
        }
        Arc::new(Self { most, all: Mutex::default() })
    }

    /// Makes room for one more by closing another: one that waits for its client, the longest first. `None` if there is
    /// no such connection.
    pub(super) fn open(self: &Arc<Self>) -> Option<Connection> {
        let (opened, closes) = {
            let mut all = lock(&self.all);
            let is_full = all.open.len() >= self.most;
            let evicted = is_full && all.evict();
            if is_full && !evicted {
                (None, Some("refused"))
            } else {
                all.last += 1;
                let id = all.last;
                let open = Arc::new(Open { phase: Mutex::new((Phase::New, Instant::now())), close: Notify::new() });
                all.open.insert(id, Arc::clone(&open));
                (Some(Connection { connections: Arc::clone(self), id, open }), evicted.then_some("evicted"))
            }
        };
        // Counted without the lock, which all connections want.
        if let Some(reason) = closes {
            closed(reason);
        }
        opened
    }

    /// Closes one that waits for its client, since there is no room for another for some reason.
    pub(super) fn make_room(&self) {
        let evicted = lock(&self.all).evict();
        if evicted {
            closed("evicted");
        }
    }

    /// Closes those that wait for their client for too long.
    pub(super) fn sweep(&self) {
        let mut reasons = Vec::new();
        lock(&self.all).open.retain(|_, open| {
            let (phase, since) = *lock(&open.phase);
            let (timeout, reason) = match phase {
                Phase::New => (HEAD_TIMEOUT, "head_timeout"),
                Phase::Idle => (IDLE_TIMEOUT, "idle_timeout"),
                Phase::Sending => (STALL_TIMEOUT, "stalled"),
                Phase::Answering => (ANSWER_TIMEOUT, "stalled"),
            };
            let goes_on = since.elapsed() < timeout;
            if !goes_on {
                open.close.notify_one();
                reasons.push(reason);
            }
            goes_on
        });
        for reason in reasons {
            closed(reason);
        }
    }

    /// Closes those that have not sent a request yet.
    pub(super) fn close_new(&self) {
        lock(&self.all).open.retain(|_, open| {
            let is_new = lock(&open.phase).0 == Phase::New;
            if is_new {
                open.close.notify_one();
            }
            !is_new
        });
    }
}

impl All {
    /// Closes the connection whose end harms least, if there is one that may go.
    fn evict(&mut self) -> bool {
        let closable = self.open.iter().filter_map(|(id, open)| {
            let (phase, since) = *lock(&open.phase);
            (phase == Phase::New || since.elapsed() >= STALL_AFTER).then_some((phase, since, *id))
        });
        let Some((_, _, id)) = closable.min() else { return false };
        if let Some(open) = self.open.remove(&id) {
            open.close.notify_one();
        }
        true
    }
}

/// Counts a connection that the server closes.
pub(super) fn closed(reason: &str) {
    CLOSED.labels([reason]).inc();
}

impl Connection {
    /// Notes what it does from now on.
    pub(super) fn enter(&self, phase: Phase) {
        *lock(&self.open.phase) = (phase, Instant::now());
    }

    /// Done when it must go.
    pub(super) async fn closed(&self) {
        self.open.close.notified().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        lock(&self.connections.all).open.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_closed(connection: &Connection) -> bool {
        let mut closed = std::pin::pin!(connection.closed());
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        closed.as_mut().poll(&mut cx).is_ready()
    }

    #[test]
    fn the_one_that_waits_for_its_client_makes_room() {
        let connections = Connections::new(3);
        let opened: Vec<_> = (0..3).map_while(|_| connections.open()).collect();
        let [first, second, third] = &opened[..] else { panic!("three may be open") };
        first.enter(Phase::Answering);
        second.enter(Phase::Idle);
        let fourth = connections.open().expect("made by the third");
        assert_eq!([first, second, third].map(is_closed), [false, false, true]);
        // What became of the third does nothing to the fourth.
        drop(connections.open().expect("made by the fourth"));
        assert!(is_closed(&fourth));
        let fifth = connections.open().expect("there is a place");
        fifth.enter(Phase::Sending);
        assert!(connections.open().is_none(), "nobody has waited for long");
        assert!(![first, second, &fifth].into_iter().any(is_closed));
        let waits = |connection: &Connection| lock(&connection.open.phase).1.elapsed() >= STALL_AFTER;
        while ![first, second, &fifth].into_iter().all(waits) {
            std::thread::yield_now();
        }
        let _sixth = connections.open().expect("made by the second");
        assert_eq!([first, second, &fifth].map(is_closed), [false, true, false]);
    }

    #[test]
    fn connections_that_were_closed_take_nobody_with_them() {
        let connections = Connections::new(1);
        let first = connections.open().expect("there is a place");
        let second = connections.open().expect("made by the first");
        drop(first);
        assert_eq!(lock(&connections.all).open.len(), 1);
        let _third = connections.open().expect("made by the second");
        assert!(is_closed(&second));
        connections.close_new();
        assert_eq!(lock(&connections.all).open.len(), 0);
    }
}

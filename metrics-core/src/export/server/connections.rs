//! The connections of a server: how many there may be, and which must go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lazy_static::lazy_static;
use tokio::sync::Notify;

use crate::cell::lock;
use crate::counter::Counter;
use crate::family::Family;

/// A client that has not sent its first request for this long is disconnected.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// One that has not sent another, for this long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(150);
/// One that has read nothing of its answer, for this long.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// One that has read nothing for this long goes if there are too many.
const STALLED: Duration = Duration::from_secs(1);

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
    open: Mutex<BTreeMap<u64, Arc<Open>>>,
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
        Arc::new(Self { most, open: Mutex::default() })
    }

    /// Makes room for one more by closing another: one that waits for its client, the longest first. `None` if there is
    /// no such connection.
    pub(super) fn open(self: &Arc<Self>) -> Option<Connection> {
        let mut all = lock(&self.open);
        if all.len() >= self.most {
            let closable = all.iter().filter_map(|(id, open)| {
                let (phase, since) = *lock(&open.phase);
                let may_go = match phase {
                    Phase::New | Phase::Idle => true,
                    Phase::Sending => since.elapsed() >= STALLED,
                    Phase::Answering => false,
                };
                may_go.then_some((phase, since, *id))
            });
            let Some((_, _, id)) = closable.min() else {
                closed("refused");
                return None;
            };
            close(&mut all, id, "evicted");
        }
        let id = all.last_key_value().map_or(0, |(last, _)| last + 1);
        let open = Arc::new(Open { phase: Mutex::new((Phase::New, Instant::now())), close: Notify::new() });
        all.insert(id, Arc::clone(&open));
        Some(Connection { connections: Arc::clone(self), id, open })
    }

    /// Closes those that wait for their client for too long.
    pub(super) fn sweep(&self) {
        let mut all = lock(&self.open);
        let over: Vec<_> = all
            .iter()
            .filter_map(|(id, open)| {
                let (phase, since) = *lock(&open.phase);
                let (timeout, reason) = match phase {
                    Phase::New => (HEAD_TIMEOUT, "head_timeout"),
                    Phase::Idle => (IDLE_TIMEOUT, "idle_timeout"),
                    Phase::Sending => (STALL_TIMEOUT, "stalled"),
                    Phase::Answering => return None,
                };
                (since.elapsed() >= timeout).then_some((*id, reason))
            })
            .collect();
        for (id, reason) in over {
            close(&mut all, id, reason);
        }
    }

    /// Closes those that have not sent a request yet.
    pub(super) fn close_new(&self) {
        let mut all = lock(&self.open);
        all.retain(|_, open| {
            let is_new = lock(&open.phase).0 == Phase::New;
            if is_new {
                open.close.notify_one();
            }
            !is_new
        });
    }
}

/// Counts a connection that the server closes.
pub(super) fn closed(reason: &str) {
    CLOSED.labels([reason]).inc();
}

fn close(all: &mut BTreeMap<u64, Arc<Open>>, id: u64, reason: &'static str) {
    if let Some(open) = all.remove(&id) {
        open.close.notify_one();
        closed(reason);
    }
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
        lock(&self.connections.open).remove(&self.id);
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
        // One that has never asked for anything goes before one that has.
        let fourth = connections.open().expect("made by the third");
        assert_eq!([first, second, third].map(is_closed), [false, false, true]);
        fourth.enter(Phase::Sending);
        let fifth = connections.open().expect("made by the second");
        assert_eq!([first, second, &fourth].map(is_closed), [false, true, false]);
        fifth.enter(Phase::Answering);
        assert!(connections.open().is_none(), "all are being answered");
        connections.sweep();
        assert!(![first, &fourth, &fifth].into_iter().any(is_closed));
        drop(fourth);
        assert!(connections.open().is_some());
    }
}

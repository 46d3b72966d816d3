//! One open connection, and what it does at the moment.
//!
//! A response counts as sent once the system has taken its last byte, not when the server has produced it: a connection
//! that is closed before that cuts its response off.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::Notify;

use super::connections::Connections;
use crate::export::http::scrape_limit::Progress;
use crate::lock::lock;

pub(super) struct Open {
    pub(super) is_refusal: bool,
    pub(super) state: Mutex<State>,
    /// Who else wants to know what the client takes.
    scrape: Mutex<Option<Progress>>,
    pub(super) close: Notify,
}

#[derive(Clone, Copy)]
pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) since: Instant,
    /// The number of sweeps when it began, or when the client last took something.
    pub(super) sweep: u64,
    /// The phase that follows when everything has been sent.
    next: Option<Phase>,
}

/// What a connection does; those whose end harms least come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// No request has come yet.
    New,
    /// A request that was not a scrape was answered, and no other has come yet.
    Idle,
    /// A scrape was answered, and no other request has come yet.
    Scraped,
    /// A response is being sent.
    Sending,
    /// A response is being made.
    Answering,
}

/// An open connection.
pub(super) struct Connection {
    connections: Arc<Connections>,
    id: u64,
    open: Arc<Open>,
}

impl Open {
    pub(super) fn new(is_refusal: bool, sweep: u64) -> Self {
        let state = State { phase: Phase::New, since: Instant::now(), sweep, next: None };
        Self { is_refusal, state: Mutex::new(state), scrape: Mutex::default(), close: Notify::new() }
    }
}

impl Connection {
    pub(super) fn new(connections: Arc<Connections>, id: u64, open: Arc<Open>) -> Self {
        Self { connections, id, open }
    }

    /// Notes that a request has come.
    pub(super) fn begins(&self) {
        self.enter(Phase::Answering);
    }

    /// Notes that a response is being sent, which may be one to a scrape.
    pub(super) fn sends(&self, scrape: Option<Progress>) {
        *lock(&self.open.scrape) = scrape;
        self.enter(Phase::Sending);
    }

    /// Notes that nothing follows of the response, although its last bytes may not have been taken yet.
    pub(super) fn has_produced(&self, after: Phase) {
        lock(&self.open.state).next = Some(after);
    }

    /// Notes that the system has taken all bytes so far.
    pub(super) fn has_flushed(&self) {
        let next = lock(&self.open.state).next.take();
        if let Some(next) = next {
            drop(lock(&self.open.scrape).take());
            self.enter(next);
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        let sweep = self.connections.sweeps();
        *lock(&self.open.state) = State { phase, since: Instant::now(), sweep, next: None };
    }

    /// Notes that its client has taken a part of a response.
    pub(super) fn progress(&self) {
        let sweep = self.connections.sweeps();
        lock(&self.open.state).sweep = sweep;
        if let Some(scrape) = &*lock(&self.open.scrape) {
            scrape.touch();
        }
    }

    /// Returns true if it exceeds the limit and gets a refusal only.
    pub(super) fn is_refusal(&self) -> bool {
        self.open.is_refusal
    }

    /// Done when it must be closed.
    pub(super) async fn closed(&self) {
        self.open.close.notified().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.remove(self.id);
    }
}

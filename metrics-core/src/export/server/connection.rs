//! One open connection, and what it does at the moment.
//!
//! A response counts as sent once the system has accepted its last byte, not when the server has produced it: closing the
//! connection before that cuts the response off.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::Notify;

use crate::export::http::scrape_limit::Progress;
use crate::lock::lock;

/// The number of sweeps so far, which serves as the clock of all connections.
pub(super) type Sweeps = Arc<AtomicU64>;

/// The state of an open connection.
pub(super) struct Open {
    /// True if the connection exceeds the limit and only gets a refusal.
    pub(super) is_refusal: bool,
    sweeps: Sweeps,
    state: Mutex<State>,
    /// The slot of the scrape whose response is being sent.
    scrape: Mutex<Option<Progress>>,
    close: Notify,
}

#[derive(Clone, Copy)]
pub(super) struct State {
    pub(super) phase: Phase,
    /// When the phase began.
    pub(super) since: Instant,
    /// The number of sweeps when the phase began or the client last read something.
    pub(super) sweep: u64,
    /// The phase that follows once everything has been sent.
    next: Option<Phase>,
}

/// The phases of a connection. Those whose end harms least come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// The client has not sent a request yet.
    New,
    /// The last request was not a scrape and has been answered.
    Idle,
    /// The last request was a scrape and has been answered.
    Scraped,
    /// A response is being sent.
    Sending,
    /// A response is being prepared.
    Answering,
}

impl Open {
    pub(super) fn new(is_refusal: bool, sweeps: Sweeps) -> Self {
        let state =
            State { phase: Phase::New, since: Instant::now(), sweep: sweeps.load(Ordering::Relaxed), next: None };
        Self { is_refusal, sweeps, state: Mutex::new(state), scrape: Mutex::default(), close: Notify::new() }
    }

    pub(super) fn state(&self) -> State {
        *lock(&self.state)
    }

    /// Enters the phase in which a response is prepared.
    pub(super) fn begins(&self) {
        self.enter(Phase::Answering);
    }

    /// Enters the phase in which a response is sent. `scrape` is the slot that the response holds, if any.
    pub(super) fn sends(&self, scrape: Option<Progress>) {
        *lock(&self.scrape) = scrape;
        self.enter(Phase::Sending);
    }

    /// Notes that the whole response has been produced, although its end may not have been sent yet.
    pub(super) fn has_produced(&self, after: Phase) {
        lock(&self.state).next = Some(after);
    }

    /// Notes that the system has accepted all bytes so far.
    pub(super) fn has_flushed(&self) {
        let next = lock(&self.state).next.take();
        if let Some(next) = next {
            drop(lock(&self.scrape).take());
            self.enter(next);
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        let sweep = self.sweeps.load(Ordering::Relaxed);
        *lock(&self.state) = State { phase, since: Instant::now(), sweep, next: None };
    }

    /// Notes that the system has accepted a part of a response.
    pub(super) fn progress(&self) {
        lock(&self.state).sweep = self.sweeps.load(Ordering::Relaxed);
        if let Some(scrape) = &*lock(&self.scrape) {
            scrape.touch();
        }
    }

    /// Ends the wait of [`Open::closed`].
    pub(super) fn close(&self) {
        self.close.notify_one();
    }

    /// Waits until the connection must be closed.
    pub(super) async fn closed(&self) {
        self.close.notified().await;
    }
}

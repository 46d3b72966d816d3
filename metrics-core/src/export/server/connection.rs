//! The state of one open connection.
//!
//! A response counts as sent once the operating system has accepted its last byte. If the connection is closed before
//! then, the response is cut off, even if the server has already produced all of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::Notify;

use crate::export::http::scrape_limit::Progress;
use crate::lock::lock;

/// The number of sweeps so far, which serves as the clock for all connections.
pub(super) type Sweeps = Arc<AtomicU64>;

/// The state of an open connection.
pub(super) struct Open {
    /// `true` if the connection exceeds the limit and receives only a response with status 503.
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
    /// The time at which the phase began.
    pub(super) since: Instant,
    /// The number of sweeps when the phase began or the client last made progress, whichever is later.
    pub(super) sweep: u64,
    /// The next phase. It is set once the whole response has been produced and entered once the response has been sent.
    next: Option<Phase>,
}

/// The phase of a connection. At the limit, the server prefers to close connections in earlier phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// The client has not sent a request yet.
    New,
    /// The last request was not a scrape, and its response has been sent.
    Idle,
    /// The last request was a scrape, and its response has been sent.
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

    /// Records that the whole response has been produced, although its end may not have been sent yet.
    pub(super) fn has_produced(&self, after: Phase) {
        lock(&self.state).next = Some(after);
    }

    /// Records that the system has accepted all bytes produced so far.
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

    /// Records that the system has accepted part of a response.
    pub(super) fn progress(&self) {
        lock(&self.state).sweep = self.sweeps.load(Ordering::Relaxed);
        if let Some(scrape) = &*lock(&self.scrape) {
            scrape.touch();
        }
    }

    /// Requests that the connection be closed; see [`Open::closed`].
    pub(super) fn close(&self) {
        self.close.notify_one();
    }

    /// Waits until [`Open::close`] is called.
    pub(super) async fn closed(&self) {
        self.close.notified().await;
    }
}

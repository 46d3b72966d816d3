//! Waits for several runs on behalf of one scrape, by blocking the thread or as an async task, with a time limit.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use crate::lock::lock;

/// Counts the answers that are missing, and tells when there are none.
pub(crate) struct Waiter {
    state: Mutex<WaiterState>,
    arrived: Condvar,
}

#[derive(Default)]
struct WaiterState {
    missing: usize,
    waker: Option<Waker>,
}

impl Waiter {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), arrived: Condvar::new() })
    }

    pub(crate) fn expect_one(&self) {
        lock(&self.state).missing += 1;
    }

    pub(crate) fn arrive(&self) {
        let waker = {
            let mut state = lock(&self.state);
            state.missing = state.missing.saturating_sub(1);
            if state.missing > 0 {
                return;
            }
            state.waker.take()
        };
        self.arrived.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Blocks until no answer is missing, or for so long.
    pub(crate) fn wait(&self, timeout: Duration) {
        let state = lock(&self.state);
        let waited = self.arrived.wait_timeout_while(state, timeout, |state| state.missing > 0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether no answer is missing; else `waker` is told once there is none.
    pub(crate) fn is_done(&self, waker: &Waker) -> bool {
        // A waker is code of a runtime, so it is neither cloned nor dropped under the lock.
        let new = waker.clone();
        let (unused, is_done) = {
            let mut state = lock(&self.state);
            if state.missing == 0 { (Some(new), true) } else { (state.waker.replace(new), false) }
        };
        drop(unused);
        is_done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alarm::tests::Wakes;

    #[test]
    fn a_task_is_told_when_all_have_answered() {
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let waiter = Waiter::new();
        assert!(waiter.is_done(&waker));
        waiter.expect_one();
        waiter.expect_one();
        assert!(!waiter.is_done(&waker));
        waiter.arrive();
        assert_eq!(wakes.count(), 0);
        waiter.arrive();
        assert_eq!(wakes.count(), 1);
        assert!(waiter.is_done(&waker));
    }
}

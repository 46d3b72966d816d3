//! Waits for several collector runs on behalf of one scrape, either by blocking the thread or as an async task.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use crate::lock::lock;
use crate::logging::guarded;

/// Counts the results that have yet to arrive, and wakes the scrape once all have arrived.
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
            // A waker runs code from an async runtime. If it panics, other scrapes must still be woken.
            let _ = guarded(|| waker.wake());
        }
    }

    /// Blocks until all results have arrived or `timeout` has passed.
    pub(crate) fn wait(&self, timeout: Duration) {
        let state = lock(&self.state);
        let waited = self.arrived.wait_timeout_while(state, timeout, |state| state.missing > 0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Returns true if all results have arrived. Otherwise, `waker` is woken once they have arrived.
    pub(crate) fn is_done(&self, waker: &Waker) -> bool {
        // Cloning or dropping a waker runs its runtime's code, so neither happens under the lock.
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
    fn a_task_is_woken_when_all_results_have_arrived() {
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

//! What one scrape waits for: several answers, for so long, on a thread or as a task.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use crate::cell::lock;

/// Counts the answers that are missing, and tells when there are none.
pub(super) struct Waiter {
    may_block: bool,
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    missing: usize,
    waker: Option<Waker>,
}

impl Waiter {
    /// A waiter that is a task must not be blocked.
    pub(super) fn new(may_block: bool) -> Arc<Self> {
        Arc::new(Self { may_block, state: Mutex::default(), arrived: Condvar::new() })
    }

    pub(super) fn may_block(&self) -> bool {
        self.may_block
    }

    pub(super) fn expect_one(&self) {
        lock(&self.state).missing += 1;
    }

    pub(super) fn arrive(&self) {
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
    pub(super) fn wait(&self, patience: Duration) {
        let state = lock(&self.state);
        let waited = self.arrived.wait_timeout_while(state, patience, |state| state.missing > 0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether no answer is missing; else `waker` is told once there is none.
    pub(super) fn is_done(&self, waker: &Waker) -> bool {
        let old = {
            let mut state = lock(&self.state);
            if state.missing == 0 {
                return true;
            }
            state.waker.replace(waker.clone())
        };
        // Somebody else's code, as all of a waker is.
        drop(old);
        false
    }
}

/// Wakes a task at some time, unless it is dropped before.
pub(super) struct Alarm(Key);

type Key = (Instant, u64);

#[derive(Default)]
struct Alarms {
    last: u64,
    by_time: BTreeMap<Key, Waker>,
    has_thread: bool,
}

/// The thread that wakes ends when there was nothing to do for this long.
const IDLE: Duration = Duration::from_secs(30);

fn alarms() -> &'static (Mutex<Alarms>, Condvar) {
    static ALARMS: OnceLock<(Mutex<Alarms>, Condvar)> = OnceLock::new();
    ALARMS.get_or_init(Default::default)
}

impl Alarm {
    /// `None` if there is nobody who could wake it.
    pub(super) fn set(at: Instant, waker: &Waker) -> Option<Self> {
        let waker = waker.clone();
        let (state, changed) = alarms();
        let mut alarms = lock(state);
        if !alarms.has_thread {
            thread::Builder::new().name("metrics-alarms".to_owned()).spawn(wake_all).ok()?;
            alarms.has_thread = true;
        }
        alarms.last += 1;
        let key = (at, alarms.last);
        alarms.by_time.insert(key, waker);
        changed.notify_all();
        Some(Self(key))
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let waker = lock(&alarms().0).by_time.remove(&self.0);
        drop(waker);
    }
}

fn wake_all() {
    let (state, changed) = alarms();
    let mut alarms = lock(state);
    loop {
        let now = Instant::now();
        let (pause, is_idle) = match alarms.by_time.first_key_value() {
            Some(((at, _), _)) if *at <= now => {
                let due = alarms.by_time.pop_first();
                drop(alarms);
                if let Some((_, waker)) = due {
                    waker.wake();
                }
                alarms = lock(state);
                continue;
            }
            Some(((at, _), _)) => (*at - now, false),
            None => (IDLE, true),
        };
        let (after, timeout) = changed.wait_timeout(alarms, pause).unwrap_or_else(PoisonError::into_inner);
        alarms = after;
        if is_idle && timeout.timed_out() && alarms.by_time.is_empty() {
            alarms.has_thread = false;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Counts(AtomicUsize);

    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_task_is_told_when_all_have_answered() {
        let counts = Arc::new(Counts::default());
        let waker = Waker::from(Arc::clone(&counts));
        let waiter = Waiter::new(false);
        assert!(waiter.is_done(&waker));
        waiter.expect_one();
        waiter.expect_one();
        assert!(!waiter.is_done(&waker));
        waiter.arrive();
        assert_eq!(counts.0.load(Ordering::SeqCst), 0);
        waiter.arrive();
        assert_eq!(counts.0.load(Ordering::SeqCst), 1);
        assert!(waiter.is_done(&waker));
    }

    #[test]
    fn alarms_go_off_in_their_time_unless_they_are_dropped() {
        let (counts, dropped) = (Arc::new(Counts::default()), Arc::new(Counts::default()));
        let begin = Instant::now();
        let later = Alarm::set(begin + Duration::from_millis(40), &Waker::from(Arc::clone(&counts))).expect("a thread");
        let sooner =
            Alarm::set(begin + Duration::from_millis(20), &Waker::from(Arc::clone(&counts))).expect("a thread");
        drop(Alarm::set(begin + Duration::from_millis(30), &Waker::from(Arc::clone(&dropped))));
        while counts.0.load(Ordering::SeqCst) < 2 {
            thread::yield_now();
        }
        assert!(begin.elapsed() >= Duration::from_millis(40));
        assert_eq!(dropped.0.load(Ordering::SeqCst), 0);
        drop((later, sooner));
        assert!(lock(&alarms().0).by_time.is_empty());
    }
}

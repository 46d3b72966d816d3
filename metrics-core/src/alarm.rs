//! The alarm thread, which wakes tasks at the times they requested.
//!
//! One thread serves all scrapes waiting for collectors or for a slot, and all pushers waiting for their next push. The
//! first alarm spawns the thread, which exits after 30 seconds without an alarm, so a process that neither serves
//! scrapes nor pushes has no alarm thread. If the thread cannot be spawned, [`Alarm::set`] returns `None`. A pusher
//! then waits on its own thread, and a scrape stops waiting. A forked child does not inherit its parent's alarm thread
//! and spawns another one.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use crate::lock::lock;
use crate::logging::guarded;
use crate::per_process::PerProcess;

/// An alarm that wakes a task at a given time, unless dropped before then.
#[derive(Debug)]
pub(crate) struct Alarm(Key);

type Key = (Instant, u64);

#[derive(Default)]
struct Alarms {
    last: u64,
    by_time: BTreeMap<Key, Waker>,
    has_thread: bool,
}

/// The time without an alarm after which the alarm thread exits.
const IDLE: Duration = Duration::from_secs(30);

fn alarms() -> &'static (Mutex<Alarms>, Condvar) {
    static ALARMS: PerProcess<(Mutex<Alarms>, Condvar)> = PerProcess::new();
    ALARMS.get()
}

impl Alarm {
    /// Sets an alarm. Returns `None` if the alarm thread cannot be spawned.
    pub(crate) fn set(at: Instant, waker: &Waker) -> Option<Self> {
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
        let _ = guarded(|| drop(waker));
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
                    // A waker runs code from an async runtime. If it panics, the other tasks must still be woken.
                    let _ = guarded(|| waker.wake());
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
pub(crate) mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    /// A waker that counts how often it was woken.
    #[derive(Default)]
    pub(crate) struct Wakes(AtomicUsize);

    impl Wakes {
        pub(crate) fn count(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A waker that panics with a payload that panics when dropped.
    struct Malicious;

    struct PanicsWhenDropped;

    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            if !thread::panicking() {
                std::panic::panic_any("dropped");
            }
        }
    }

    impl Wake for Malicious {
        fn wake(self: Arc<Self>) {
            std::panic::panic_any(PanicsWhenDropped);
        }
    }

    #[test]
    fn a_waker_that_panics_does_not_end_the_thread() {
        let wakes = Arc::new(Wakes::default());
        let malicious = Alarm::set(Instant::now(), &Waker::from(Arc::new(Malicious))).expect("a thread");
        let alarm = Alarm::set(Instant::now() + Duration::from_millis(5), &Waker::from(Arc::clone(&wakes)));
        let begin = Instant::now();
        while wakes.count() == 0 {
            assert!(begin.elapsed() < Duration::from_secs(20), "the thread has ended");
            thread::yield_now();
        }
        drop((malicious, alarm));
    }

    #[test]
    fn alarms_fire_on_time_unless_dropped() {
        let (wakes, dropped) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
        let begin = Instant::now();
        let later = Alarm::set(begin + Duration::from_millis(40), &Waker::from(Arc::clone(&wakes))).expect("a thread");
        let sooner = Alarm::set(begin + Duration::from_millis(20), &Waker::from(Arc::clone(&wakes))).expect("a thread");
        drop(Alarm::set(begin + Duration::from_millis(30), &Waker::from(Arc::clone(&dropped))));
        while wakes.count() < 2 {
            thread::yield_now();
        }
        assert!(begin.elapsed() >= Duration::from_millis(40));
        assert_eq!(dropped.count(), 0);
        drop((later, sooner));
        assert!(lock(&alarms().0).by_time.is_empty());
    }
}

//! A pusher's schedule: pushes, retries and shutdown.
//!
//! A pusher is a task on the alarm thread. When a push is due, the pusher spawns a thread that pushes, sets the next
//! alarm, and exits. A target that blocks therefore does not delay other targets. Pushes to one target never overlap,
//! because no alarm is set while a push is running. If the alarm thread cannot be spawned, the pushing thread keeps
//! running and waits until the next push is due.
//!
//! The first push starts immediately. The others follow at multiples of the interval, counted from a random time within
//! the interval before the start. Otherwise, instances that start together, as after a deployment, would always push
//! together.
//!
//! One lock guards both the schedule and the shutdown request. If no push is running, shutdown starts the last push;
//! otherwise, the running thread pushes once more after the current push. Each push sends the current totals, so
//! nothing is queued while a target is unavailable.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use log::Level;

use super::{PushContext, PushError, PushTarget, Retry, backoff, self_metrics};
use crate::alarm::Alarm;
use crate::internal::InternalError;
use crate::lock::lock;
use crate::logging::{guarded, log};
use crate::per_process;
use crate::registry::Registry;

/// The maximum number of failure causes to remember so that each is logged only once.
const LOGGED_CAUSES: usize = 16;
/// The maximum number of skip reasons to remember, across all targets.
const LOGGED_REASONS: usize = 256;
/// The delay to use if the clock cannot represent the requested delay.
const FAR_FUTURE: Duration = Duration::from_secs(365 * 24 * 3_600);

pub(super) struct Schedule {
    name: String,
    registry: Registry,
    interval: Duration,
    timeout: Duration,
    /// The time from which multiples of the interval are counted.
    begun: Instant,
    /// The ID of the process that created the schedule.
    process: u32,
    /// Locked while a push is running.
    pushing: Mutex<Pushing>,
    state: Mutex<ScheduleState>,
    changed: Condvar,
}

/// The state to which a running push has exclusive access.
struct Pushing {
    target: Box<dyn PushTarget>,
    /// The number of failures since the last success.
    failures: u32,
    /// The causes of failures that were logged since the last success.
    logged: HashSet<String>,
}

#[derive(Default)]
struct ScheduleState {
    /// `true` while a thread is running. That thread observes changes to this state.
    is_at_work: bool,
    /// The alarm for the next push, set while no thread is running.
    alarm: Option<Alarm>,
    /// The deadline of the last push, once shutdown has been requested.
    until: Option<Instant>,
    /// The error of the latest attempt at the last push. Returned if the next attempt does not finish in time.
    failed: Option<PushError>,
    /// The result of the last push, once it is done.
    ended: Option<Result<(), PushError>>,
}

impl Schedule {
    pub(super) fn new(target: Box<dyn PushTarget>, registry: Registry, interval: Duration, timeout: Duration) -> Self {
        let name = target.name().to_owned();
        self_metrics::init(&name);
        Self {
            name,
            registry,
            interval,
            timeout,
            begun: earlier(Instant::now(), interval.mul_f64(backoff::random())),
            process: per_process::id(),
            pushing: Mutex::new(Pushing { target, failures: 0, logged: HashSet::new() }),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Starts pushing. The first push starts immediately.
    pub(super) fn start(self: &Arc<Self>) -> io::Result<()> {
        lock(&self.state).is_at_work = true;
        self.spawn()
    }

    fn spawn(self: &Arc<Self>) -> io::Result<()> {
        let schedule = Arc::clone(self);
        thread::Builder::new().name("metrics-push".to_owned()).spawn(move || schedule.work()).map(drop)
    }

    /// Requests the last push and waits for it.
    pub(super) fn shutdown(self: &Arc<Self>) -> Result<(), PushError> {
        if self.process != per_process::id() {
            // The locks may be held by threads that do not exist in this process.
            return Err(PushError::OtherProcess { target: self.name.clone() });
        }
        let until = deadline(self.timeout);
        let mut state = lock(&self.state);
        state.until = Some(until);
        let alarm = state.alarm.take();
        drop(state);
        drop(alarm);
        self.changed.notify_all();
        loop {
            let is_at_work = std::mem::replace(&mut lock(&self.state).is_at_work, true);
            if !is_at_work && self.spawn().is_err() {
                InternalError::ThreadSpawnFailed.record(&self.name);
                Arc::clone(self).work();
            }
            let state = lock(&self.state);
            let mut state = self.wait_until(state, until, |state| state.ended.is_none() && state.is_at_work);
            match state.ended.take() {
                Some(ended) => return ended,
                None if state.is_at_work => {
                    let timed_out = || PushError::TimedOut { target: self.name.clone() };
                    return Err(state.failed.take().unwrap_or_else(timed_out));
                }
                // The thread for the last push could not be spawned.
                None => {}
            }
        }
    }

    /// Pushes until the alarm for the next push is set, or until the last push is done.
    fn work(self: Arc<Self>) {
        loop {
            let until = lock(&self.state).until;
            let deadline = deadline(self.timeout);
            let pushed = self.push(until.map_or(deadline, |until| deadline.min(until)), until.is_some());
            let mut state = lock(&self.state);
            let due = match (until, state.until) {
                // Shutdown was requested before this push began, so this push was the last one unless enough time is
                // left for a retry.
                (Some(until), _) => {
                    let again = pushed.last_retry();
                    let again = again.map(|delay| after(Instant::now(), delay)).filter(|again| *again < until);
                    let Some(again) = again.filter(|_| pushed.result.is_err()) else {
                        state.ended = Some(pushed.result);
                        drop(state);
                        self.changed.notify_all();
                        return;
                    };
                    state.failed = pushed.result.err();
                    again
                }
                (None, Some(_)) => continue,
                (None, None) => self.due(&pushed),
            };
            if until.is_none()
                && let Some(alarm) = Alarm::set(due, &Waker::from(Arc::clone(&self)))
            {
                state.is_at_work = false;
                state.alarm = Some(alarm);
                return;
            }
            drop(self.wait_until(state, due, |state| state.until == until));
        }
    }

    /// Returns the time of the push after `pushed`: the next multiple of the interval, unless it failed and is retried
    /// at a different time.
    fn due(&self, pushed: &Pushed) -> Instant {
        let next = self.next_tick();
        match (&pushed.result, pushed.retry) {
            (Ok(()), _) | (Err(_), Retry::Never) => next,
            (Err(_), Retry::BackOff) => next.min(after(Instant::now(), pushed.back_off)),
            (Err(_), Retry::After(delay)) => after(Instant::now(), delay.max(pushed.back_off)),
        }
    }

    fn next_tick(&self) -> Instant {
        let interval = self.interval.as_nanos();
        let intervals = self.begun.elapsed().as_nanos() / interval + 1;
        let tick = u64::try_from(intervals.saturating_mul(interval)).map_or(FAR_FUTURE, Duration::from_nanos);
        after(self.begun, tick)
    }

    /// Waits while `holds` returns true, but not beyond the deadline `until`.
    fn wait_until<'a>(
        &self,
        state: MutexGuard<'a, ScheduleState>,
        until: Instant,
        holds: impl Fn(&ScheduleState) -> bool,
    ) -> MutexGuard<'a, ScheduleState> {
        let timeout = until.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(state, timeout, |state| holds(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Pushes once, without retrying or logging a failure.
    pub(super) fn push_once(&self) -> Result<(), PushError> {
        let push = PushContext::new(&self.registry, &self.name, deadline(self.timeout));
        self.send(&mut *lock(&self.pushing).target, &push)
    }

    /// Pushes to the target and counts the outcome.
    fn send(&self, target: &mut dyn PushTarget, push: &PushContext<'_>) -> Result<(), PushError> {
        let result = match guarded(|| target.push(push)) {
            Some(Ok(())) => Ok(()),
            Some(Err(source)) => Err(PushError::Target { target: self.name.clone(), source }),
            None => Err(PushError::Panicked { target: self.name.clone() }),
        };
        for (reason, sample) in push.skipped.take() {
            if is_first(&self.name, reason) {
                log(Level::Warn, format_args!("{}: skips {sample}, which {reason} (logged once)", self.name));
            }
        }
        // The error's methods are user code, so they may panic.
        let outcome = || result.as_ref().map_or_else(PushError::outcome, |()| self_metrics::SUCCESS);
        self_metrics::pushed(&self.name, guarded(outcome).unwrap_or(self_metrics::PANIC));
        result
    }

    /// Pushes, logs each cause of failure once, and logs the recovery.
    fn push(&self, deadline: Instant, is_last: bool) -> Pushed {
        let mut pushing = lock(&self.pushing);
        let Pushing { target, failures, logged } = &mut *pushing;
        let push = PushContext { is_last, ..PushContext::new(&self.registry, &self.name, deadline) };
        let result = self.send(&mut **target, &push);
        match &result {
            Ok(()) if *failures > 0 => {
                log(Level::Info, format_args!("{}: push succeeded after {failures} failures", self.name));
                *failures = 0;
                // Log the causes of the next outage again.
                logged.clear();
            }
            Ok(()) => {}
            Err(error) => {
                *failures = failures.saturating_add(1);
                guarded(|| {
                    let cause = error.to_string();
                    if logged.len() < LOGGED_CAUSES && logged.insert(cause.clone()) {
                        let retrying = if push.retry.get() == Retry::Never { "" } else { "; retrying" };
                        log(Level::Warn, format_args!("{cause} (logged once{retrying})"));
                    }
                });
            }
        }
        Pushed { result, retry: push.retry.get(), back_off: backoff::delay(*failures, self.interval) }
    }
}

/// The result of a push, and the time of a retry.
struct Pushed {
    result: Result<(), PushError>,
    retry: Retry,
    back_off: Duration,
}

impl Pushed {
    /// Returns the delay before a retry of the last push, or `None` if a retry would fail as well.
    fn last_retry(&self) -> Option<Duration> {
        // The back-off is limited to its first step because little time is left.
        let back_off = self.back_off.min(backoff::FIRST);
        match self.retry {
            Retry::BackOff => Some(back_off),
            Retry::After(delay) => Some(delay.max(back_off)),
            Retry::Never => None,
        }
    }
}

impl Wake for Schedule {
    fn wake(self: Arc<Self>) {
        let mut state = lock(&self.state);
        if state.is_at_work {
            return;
        }
        state.is_at_work = true;
        drop(state);
        if self.spawn().is_err() {
            let mut state = lock(&self.state);
            state.is_at_work = false;
            if state.until.is_none() {
                state.alarm = Alarm::set(self.next_tick(), &Waker::from(Arc::clone(&self)));
            }
            drop(state);
            self.changed.notify_all();
            InternalError::ThreadSpawnFailed.record(&self.name);
        }
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule").field("target", &self.name).field("interval", &self.interval).finish_non_exhaustive()
    }
}

/// Returns true the first time that a sample for this target is skipped for this reason.
///
/// The set is global, because each one-shot push has its own schedule.
fn is_first(target: &str, reason: &'static str) -> bool {
    static LOGGED: Mutex<BTreeSet<(String, &'static str)>> = Mutex::new(BTreeSet::new());
    let mut logged = lock(&LOGGED);
    logged.len() < LOGGED_REASONS && logged.insert((target.to_owned(), reason))
}

/// Returns the deadline of a push that begins now.
pub(super) fn deadline(timeout: Duration) -> Instant {
    after(Instant::now(), timeout)
}

/// Returns `instant` minus `duration`, or `instant` if the clock cannot represent the difference.
fn earlier(instant: Instant, duration: Duration) -> Instant {
    instant.checked_sub(duration).unwrap_or(instant)
}

/// Returns `instant` plus `duration`, or a time in the far future if the clock cannot represent the sum.
fn after(instant: Instant, duration: Duration) -> Instant {
    instant.checked_add(duration).or_else(|| instant.checked_add(FAR_FUTURE)).unwrap_or(instant)
}

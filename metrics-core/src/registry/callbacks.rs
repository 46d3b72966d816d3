//! Metrics whose value a function tells: all are asked before a scrape is shown, so that one that hangs costs itself only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::Registry;
use super::bridge::Collecting;
use super::collectors::isolated;
use super::names::Callback;
use crate::internal::InternalError;
use crate::sample::Value;

/// Threads that ask for one scrape: one, and one more for each time that an answer is long in coming.
const MOST_THREADS: usize = 8;

/// What all of these answer; those that panic, or do not answer in this time, are left out.
pub(super) fn ask(
    registry: &Registry,
    callbacks: Vec<Arc<Callback>>,
    patience: Duration,
) -> Vec<(Arc<Callback>, Value<'static>)> {
    // A callback that scrapes its own registry would ask itself without end.
    let Some(collecting) = Collecting::callbacks_of(registry, patience).filter(|_| !callbacks.is_empty()) else {
        return Vec::new();
    };
    let states = callbacks.iter().map(|_| AtomicU8::new(State::Waiting as u8)).collect();
    let asking = Arc::new(Asking { callbacks, states, next: AtomicUsize::new(0), collecting });
    let mut values = asking.answers(patience);
    values.sort_unstable_by_key(|(at, _)| *at);
    values.into_iter().map(|(at, value)| (Arc::clone(&asking.callbacks[at]), value)).collect()
}

/// The callbacks of one scrape.
struct Asking {
    callbacks: Vec<Arc<Callback>>,
    states: Vec<AtomicU8>,
    /// The callback to ask next.
    next: AtomicUsize,
    collecting: Collecting,
}

#[repr(u8)]
enum State {
    Waiting,
    Running,
    Answered,
    GivenUp,
}

type Answer = (usize, Option<Value<'static>>);

impl Asking {
    fn answers(self: &Arc<Self>, patience: Duration) -> Vec<(usize, Value<'static>)> {
        let begin = Instant::now();
        let (answer, answers) = mpsc::channel();
        let mut values = Vec::with_capacity(self.callbacks.len());
        let mut received = 0;
        let mut threads = 1;
        self.start(&answer);
        while received < self.callbacks.len() {
            let left = patience.saturating_sub(begin.elapsed());
            let may_start = threads < MOST_THREADS && self.next.load(Ordering::Relaxed) < self.callbacks.len();
            match answers.recv_timeout(if may_start { left.min(patience / 16) } else { left }) {
                Ok((at, value)) => {
                    received += 1;
                    values.extend(value.map(|value| (at, value)));
                }
                // One hangs; the others are asked beside it.
                Err(RecvTimeoutError::Timeout) if may_start && !left.is_zero() => {
                    threads += 1;
                    self.start(&answer);
                }
                Err(_) => break,
            }
        }
        if received < self.callbacks.len() {
            self.give_up();
        }
        values
    }

    /// Asks on a thread of its own; here where there is none.
    fn start(self: &Arc<Self>, answer: &Sender<Answer>) {
        let (asking, sender) = (Arc::clone(self), answer.clone());
        let thread = thread::Builder::new().name("metrics-callbacks".to_owned());
        if thread.spawn(move || asking.run(&sender)).is_err() {
            InternalError::NoThread.record(&"the callbacks of a scrape");
            self.run(answer);
        }
    }

    /// Asks the callbacks that nobody has asked yet, one after the other.
    fn run(&self, answer: &Sender<Answer>) {
        while let at = self.next.fetch_add(1, Ordering::Relaxed)
            && let Some(callback) = self.callbacks.get(at)
        {
            if !self.exchange(at, State::Waiting, State::Running) {
                continue;
            }
            let value = self.collecting.clone().during(|| value(callback));
            if !self.exchange(at, State::Running, State::Answered) {
                callback.hanging.fetch_sub(1, Ordering::Relaxed);
            }
            // Nobody listens any more if it took too long.
            let _ = answer.send((at, value));
        }
    }

    /// Notes the callbacks that have not answered: while one hangs, no other scrape asks it.
    fn give_up(&self) {
        for (at, callback) in self.callbacks.iter().enumerate() {
            let hangs = self.exchange(at, State::Running, State::GivenUp);
            if hangs {
                callback.hanging.fetch_add(1, Ordering::Relaxed);
            }
            if hangs || self.exchange(at, State::Waiting, State::GivenUp) {
                InternalError::CollectorTimeout.record(&callback.core.declaration.name);
            }
        }
    }

    fn exchange(&self, at: usize, from: State, to: State) -> bool {
        self.states[at].compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

fn value(callback: &Callback) -> Option<Value<'static>> {
    let name = &callback.core.declaration.name;
    // Below 0 for the moment in which one has come back that is just being given up.
    if callback.hanging.load(Ordering::Relaxed) > 0 {
        InternalError::CollectorTimeout.record(name);
        return None;
    }
    isolated(name, || (callback.value)())
}

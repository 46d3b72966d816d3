//! Collector runs in flight. Concurrent scrapes join the newest run, and at most four run at once, so that a collector
//! that hangs cannot pile up threads.
//!
//! Each run has a dedicated thread. A scrape joins the newest run if that was given at least half of the scrape's
//! timeout and no scrape has given up on it; otherwise it starts a new one. A nested scrape never joins, since two
//! registries that contain each other would wait for each other. Only the newest run is joined, so that a scrape never
//! reports older values than an earlier scrape did. If a run has already taken longer than the scrape would wait, the
//! scrape skips that collector. If no thread can be spawned, the scrape runs the collector on its own thread, and waits for
//! as long as it takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};
use std::{process, thread};

use super::context::ScrapeContext;
use super::waiter::Waiter;
use crate::internal::InternalError;
use crate::lock::lock;

/// Runs of one collector at the same time: one that scrapes share, and others where scrapes have given up on one.
const MAX_CONCURRENT_RUNS: usize = 4;

/// The runs of one collector, or of one callback, that have not ended; the newest is the last.
pub(crate) struct Runs<T>(Arc<Mutex<Vec<Arc<Run<T>>>>>);

/// One run, and the scrapes that wait for it.
pub(crate) struct Run<T> {
    /// The process that began it.
    process: u32,
    /// A nested scrape began it, whose collectors skip what would wait for itself.
    is_nested: bool,
    since: Instant,
    /// How long whoever began it waits, which is what a registry inside of this one goes by.
    timeout: Duration,
    /// Whether a scrape has given up on it.
    was_given_up: AtomicBool,
    state: Mutex<RunState<T>>,
}

struct RunState<T> {
    has_ended: bool,
    result: Option<Arc<T>>,
    waiting: Vec<Weak<Waiter>>,
}

/// A run that a scrape waits for.
pub(crate) struct PendingRun<T>(Arc<Run<T>>);

impl<T: Send + Sync + 'static> Runs<T> {
    /// Asks for a result, of a run that is going on or of a new one on a thread of its own; `None` if one has taken longer
    /// by now than this scrape would wait.
    ///
    /// A run is shared as long as it is the newest, so that what a scrape shows is never older than what an earlier one
    /// has shown.
    pub(crate) fn join_or_start(
        &self,
        name: &str,
        context: &ScrapeContext,
        waiter: &Arc<Waiter>,
        collect: impl FnOnce() -> Option<T> + Send + 'static,
    ) -> Option<PendingRun<T>> {
        let timeout = context.timeout();
        let (run, is_new) = {
            let mut runs = lock(&self.0);
            // A forked child has none of its parent's threads, so these runs do not end.
            runs.retain(|run| run.process == process::id());
            if runs.iter().any(|run| run.since.elapsed() >= timeout) {
                return None;
            }
            match runs.last().filter(|newest| runs.len() >= MAX_CONCURRENT_RUNS || newest.may_be_shared(context)) {
                Some(newest) => (Arc::clone(newest), false),
                None => {
                    let run = Arc::new(Run::new(context));
                    runs.push(Arc::clone(&run));
                    (run, true)
                }
            }
        };
        run.wait_for(waiter);
        if is_new {
            self.start(name, &run, context.clone(), collect);
        }
        Some(PendingRun(run))
    }

    fn start(
        &self,
        name: &str,
        run: &Arc<Run<T>>,
        context: ScrapeContext,
        collect: impl FnOnce() -> Option<T> + Send + 'static,
    ) {
        // Handed over by the run, not by the thread: a thread that cannot be started drops what it was given.
        let work = Arc::new(Mutex::new(Some((context, collect))));
        let (theirs, runs, of_thread) = (Arc::clone(&work), self.clone(), Arc::clone(run));
        let perform = move || {
            let end = End { runs: &runs, run: &of_thread };
            let work = lock(&theirs).take();
            end.with(work.and_then(|(context, collect)| context.during(collect)));
        };
        if thread::Builder::new().name("metrics-collector".to_owned()).spawn(perform).is_ok() {
            return;
        }
        InternalError::ThreadSpawnFailed.record(&name);
        let end = End { runs: self, run };
        let work = lock(&work).take();
        end.with(work.and_then(|(context, collect)| context.during(collect)));
    }
}

impl<T> Clone for Runs<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Run<T> {
    fn new(context: &ScrapeContext) -> Self {
        Self {
            process: process::id(),
            is_nested: context.is_inner(),
            since: Instant::now(),
            timeout: context.timeout(),
            was_given_up: AtomicBool::new(false),
            state: Mutex::new(RunState { has_ended: false, result: None, waiting: Vec::new() }),
        }
    }

    /// Whether a scrape may wait for it. Not from inside of another one: two registries that are in each other would wait
    /// for each other.
    fn may_be_shared(&self, context: &ScrapeContext) -> bool {
        let has_time = self.timeout >= context.timeout() / 2;
        has_time && !context.is_inner() && !self.is_nested && !self.was_given_up.load(Ordering::Relaxed)
    }

    fn wait_for(&self, waiter: &Arc<Waiter>) {
        let mut state = lock(&self.state);
        if state.has_ended {
            return;
        }
        if state.waiting.len() == state.waiting.capacity() {
            state.waiting.retain(|waiter| waiter.strong_count() > 0);
        }
        waiter.expect_one();
        state.waiting.push(Arc::downgrade(waiter));
    }
}

/// Ends a run when it is dropped, also by a panic.
struct End<'r, T> {
    runs: &'r Runs<T>,
    run: &'r Arc<Run<T>>,
}

impl<T> End<'_, T> {
    fn with(self, result: Option<T>) {
        lock(&self.run.state).result = result.map(Arc::new);
    }
}

impl<T> Drop for End<'_, T> {
    fn drop(&mut self) {
        // No scrape finds it any more before those that wait are told: the next one begins another.
        lock(&self.runs.0).retain(|run| !Arc::ptr_eq(run, self.run));
        let waiting = {
            let mut state = lock(&self.run.state);
            state.has_ended = true;
            std::mem::take(&mut state.waiting)
        };
        waiting.iter().filter_map(Weak::upgrade).for_each(|waiter| waiter.arrive());
    }
}

impl<T> PendingRun<T> {
    /// What it gave; an error if it has not ended.
    pub(crate) fn result(&self) -> Result<Option<Arc<T>>, ()> {
        let state = lock(&self.0.state);
        if state.has_ended {
            return Ok(state.result.clone());
        }
        self.0.was_given_up.store(true, Ordering::Relaxed);
        Err(())
    }
}

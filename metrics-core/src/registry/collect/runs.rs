//! Collector runs in flight. Concurrent scrapes join the newest run, and at most four run at once, so that a collector
//! that hangs cannot pile up threads.
//!
//! Each run has a dedicated thread. A scrape joins the newest run if the run's timeout is at least half of the scrape's
//! own and no scrape has given up on the run. Otherwise, the scrape starts a new run. A nested scrape starts a run that
//! no other scrape joins, because two registries that contain each other would otherwise wait for each other. However,
//! if four runs are already in flight, every scrape joins the newest run. Scrapes never join older runs, so that no
//! scrape reports older values than an earlier scrape. If any run in flight has already exceeded the scrape's timeout,
//! the scrape skips the collector. If no thread can be spawned, the scrape runs the collector on its own thread,
//! without a timeout.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::context::ScrapeContext;
use super::waiter::Waiter;
use crate::internal::InternalError;
use crate::lock::lock;
use crate::logging::LoggingThread;
use crate::per_process;

/// The maximum number of concurrent runs of a collector, including runs that scrapes have given up on.
const MAX_CONCURRENT_RUNS: usize = 4;

/// The unfinished runs of a collector or callback, newest last.
pub(crate) struct Runs<T>(Arc<Mutex<Vec<Arc<Run<T>>>>>);

/// A run and the scrapes waiting for it.
pub(crate) struct Run<T> {
    /// The ID of the process that started the run.
    process: u32,
    /// True if a nested scrape started the run. Such a run skips the enclosing registries.
    is_nested: bool,
    since: Instant,
    /// The timeout of the scrape that started the run. Scrapes nested in the run derive their timeouts from it.
    timeout: Duration,
    /// True if a scrape has given up on the run.
    was_given_up: AtomicBool,
    state: Mutex<RunState<T>>,
}

struct RunState<T> {
    has_ended: bool,
    result: Option<Arc<T>>,
    waiting: Vec<Weak<Waiter>>,
}

/// A run that a scrape is waiting for.
pub(crate) struct PendingRun<T>(Arc<Run<T>>);

impl<T: Send + Sync + 'static> Runs<T> {
    /// Joins the newest run, or starts a run on a dedicated thread. Returns `None` if a run in flight has already
    /// exceeded this scrape's timeout.
    ///
    /// Older runs are never joined, so that a scrape never reports older values than an earlier scrape.
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
            // A forked child has none of its parent's threads, so the parent's runs would never end.
            runs.retain(|run| run.process == per_process::id());
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
        // The work is shared with the thread rather than moved into its closure. If no thread can be spawned, the
        // closure is dropped, and the work runs on this thread.
        let work = Arc::new(Mutex::new(Some((context, collect))));
        let (theirs, runs, of_thread) = (Arc::clone(&work), self.clone(), Arc::clone(run));
        // The scrape waits for this run, and may hold a lock that a logger needs.
        let logging = LoggingThread::get().of_spawned();
        let perform = move || {
            let end = End { runs: &runs, run: &of_thread };
            let work = lock(&theirs).take();
            end.with(work.and_then(|(context, collect)| logging.during(|| context.during(collect))));
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
            process: per_process::id(),
            is_nested: context.is_inner(),
            since: Instant::now(),
            timeout: context.timeout(),
            was_given_up: AtomicBool::new(false),
            state: Mutex::new(RunState { has_ended: false, result: None, waiting: Vec::new() }),
        }
    }

    /// Returns true if a scrape may join the run. Nested scrapes do not share runs, because two registries that contain
    /// each other would otherwise wait for each other.
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

/// Ends a run when dropped, even during a panic.
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
        // The run is removed before the waiting scrapes are woken, so that subsequent scrapes start a new run.
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
    /// Returns the result of the run. If the run has not ended, gives up on it and returns an error.
    pub(crate) fn result(&self) -> Result<Option<Arc<T>>, ()> {
        let state = lock(&self.0.state);
        if state.has_ended {
            return Ok(state.result.clone());
        }
        self.0.was_given_up.store(true, Ordering::Relaxed);
        Err(())
    }
}

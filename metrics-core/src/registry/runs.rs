//! The runs of one collector: how many there are at the same time, and which scrapes wait for one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::bridge::Collecting;
use super::collectors::Collected;
use crate::cell::lock;
use crate::internal::InternalError;

/// Runs of one collector at the same time; further scrapes wait for one of them to end.
const MOST: usize = 4;

/// The runs of one collector.
#[derive(Clone, Default)]
pub(super) struct Runs(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    last: u64,
    /// The runs that have not ended, and since when each has been on its present request.
    since: BTreeMap<u64, Instant>,
    waiting: VecDeque<Request>,
}

/// What one scrape asks for.
struct Request {
    collecting: Collecting,
    answer: Sender<Option<Collected>>,
    /// Gone once the scrape has given up.
    wanted: Weak<()>,
}

/// What a scrape waits for.
pub(super) struct Asked {
    answer: Receiver<Option<Collected>>,
    _wanted: Arc<()>,
    /// The run, where no thread could be started for it.
    here: Option<Work>,
}

type Work = Box<dyn FnOnce() + Send>;

/// One run, which goes on to the scrapes that wait.
struct Run {
    runs: Runs,
    id: u64,
}

impl Runs {
    /// Asks for a run on a thread of its own; `None` if one has taken longer by now than this scrape would wait.
    pub(super) fn ask(
        &self,
        name: &str,
        collecting: &Collecting,
        collect: impl Fn() -> Option<Collected> + Send + 'static,
    ) -> Option<Asked> {
        if self.is_overdue(collecting.patience()) {
            return None;
        }
        let wanted = Arc::new(());
        let (answer, answered) = mpsc::channel();
        let request = Request { collecting: collecting.clone(), answer, wanted: Arc::downgrade(&wanted) };
        let run = self.begin(request);
        let here = run.and_then(|(run, first)| spawn(name, Box::new(move || run.work(first, &collect))));
        Some(Asked { answer: answered, _wanted: wanted, here })
    }

    fn is_overdue(&self, patience: Duration) -> bool {
        lock(&self.0).since.values().any(|since| since.elapsed() >= patience)
    }

    /// A run for this request; `None` if it waits for one of those that there are.
    fn begin(&self, request: Request) -> Option<(Run, Request)> {
        let mut state = lock(&self.0);
        if state.since.len() >= MOST {
            state.waiting.retain(Request::is_wanted);
            state.waiting.push_back(request);
            return None;
        }
        state.last += 1;
        let id = state.last;
        state.since.insert(id, request.collecting.since());
        Some((Run { runs: self.clone(), id }, request))
    }
}

impl Request {
    fn is_wanted(&self) -> bool {
        self.wanted.strong_count() > 0
    }
}

impl Run {
    fn work(self, first: Request, collect: &dyn Fn() -> Option<Collected>) {
        let mut next = Some(first);
        while let Some(Request { collecting, answer, .. }) = next {
            // Nobody listens any more if it took too long.
            let _ = answer.send(collecting.during(collect));
            next = self.next();
        }
    }

    /// The scrape that has waited longest; without one the run has ended.
    fn next(&self) -> Option<Request> {
        let mut state = lock(&self.runs.0);
        state.waiting.retain(Request::is_wanted);
        let next = state.waiting.pop_front();
        match next {
            Some(_) => state.since.insert(self.id, Instant::now()),
            None => state.since.remove(&self.id),
        };
        next
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        lock(&self.runs.0).since.remove(&self.id);
    }
}

impl Asked {
    /// What was collected; an error where it is not there in time.
    pub(super) fn wait(self, collecting: &Collecting) -> Result<Option<Collected>, mpsc::RecvTimeoutError> {
        if let Some(work) = self.here.filter(|_| !collecting.time_left().is_zero()) {
            work();
        }
        self.answer.recv_timeout(collecting.time_left())
    }
}

/// Starts a thread for `work`, or gives it back.
fn spawn(name: &str, work: Work) -> Option<Work> {
    // Handed over once the thread is there: a thread that cannot be started drops what it was given.
    let (hand_over, work_here) = mpsc::channel::<Work>();
    let run = move || {
        if let Ok(work) = work_here.recv() {
            work();
        }
    };
    if thread::Builder::new().name("metrics-collector".to_owned()).spawn(run).is_ok() {
        return hand_over.send(work).err().map(|unsent| unsent.0);
    }
    InternalError::NoThread.record(&name);
    Some(work)
}

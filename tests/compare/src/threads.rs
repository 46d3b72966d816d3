//! Contests on several threads at once: how many operations there are in a slice of time.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use core_affinity::CoreId;

use crate::labels::PICKS;
use crate::measure::{Figures, Operation, count_for, in_sittings};

/// How long one contestant is counted in one round.
const SLICE: Duration = Duration::from_millis(4);
/// How long all its threads run before that.
const LEAD: Duration = Duration::from_micros(200);
/// How long it runs between two looks at the clock.
const BATCH: Duration = Duration::from_micros(10);

/// An operation on a number of threads.
pub(crate) struct Entrant {
    name: String,
    operation: Operation,
    threads: usize,
    /// Operations between two looks at the clock.
    batch: u64,
}

impl Entrant {
    pub(crate) fn new(name: impl Into<String>, operation: &Operation, threads: usize) -> Self {
        // A first time takes longer, and would make the batches too small.
        operation(0..PICKS as u64);
        Self { name: name.into(), operation: Arc::clone(operation), threads, batch: count_for(operation, BATCH) }
    }
}

/// Operations a second of each.
pub(crate) fn rates(entrants: Vec<Entrant>, rounds: usize) -> Figures {
    let mut race = Race::new(entrants);
    in_sittings(rounds, |rounds| race.sit(rounds));
    race.finish()
}

/// Entrants that are compared, interleaved by rounds that are held in sittings.
pub(crate) struct Race {
    entrants: Vec<Entrant>,
    round: usize,
    figures: Figures,
}

impl Race {
    pub(crate) fn new(entrants: Vec<Entrant>) -> Self {
        let figures = Figures::new(entrants.iter().map(|entrant| entrant.name.clone()));
        Self { entrants, round: 0, figures }
    }

    /// Holds so many rounds more. The threads are the same ones for all of them, each bound to its core: for the length of a
    /// slice a scheduler may leave two on one core, where they do not contend.
    ///
    /// A round has a turn for each core, on which that one works alone where one thread does: one core may be slower than the
    /// other for minutes, and what both do is to be compared with what each does.
    pub(crate) fn sit(&mut self, rounds: usize) {
        let entrants = &self.entrants;
        let workers = entrants.iter().map(|entrant| entrant.threads).max().unwrap_or(0);
        let start = Barrier::new(workers);
        let turns = workers.clamp(1, cores().len().max(1));
        let numbers = self.round * turns..(self.round + rounds) * turns;
        let slices: Vec<Vec<Slice>> =
            numbers.clone().map(|_| entrants.iter().map(|_| Slice::default()).collect()).collect();
        thread::scope(|scope| {
            for worker in 0..workers {
                let (start, slices, numbers) = (&start, &slices, numbers.clone());
                scope.spawn(move || {
                    bind_to_core(worker);
                    for (number, slices) in numbers.zip(slices) {
                        work([worker, workers], entrants, number, start, slices);
                    }
                });
            }
        });
        for turns in slices.chunks(turns) {
            for at in 0..entrants.len() {
                let count: u64 = turns.iter().map(|slices| slices[at].count.load(Ordering::Relaxed)).sum();
                self.figures.push(at, count as f64 / (turns.len() as f64 * SLICE.as_secs_f64()));
            }
        }
        self.round += rounds;
    }

    /// The quietest quarter of the rounds.
    pub(crate) fn finish(self) -> Figures {
        self.figures.quietest_quarter_of_rates()
    }
}

fn cores() -> Vec<CoreId> {
    core_affinity::get_core_ids().unwrap_or_default()
}

/// Keeps the current thread on one core, another one for each number as long as there are as many.
pub(crate) fn bind_to_core(number: usize) {
    let cores = cores();
    if let Some(core) = cores.get(number % cores.len().max(1)) {
        core_affinity::set_for_current(*core);
    }
}

/// One entrant in one round.
#[derive(Default)]
struct Slice {
    /// How many of its threads run by now.
    arrived: AtomicUsize,
    /// Set by the last of them: threads that run one after the other would not contend.
    start: OnceLock<Instant>,
    /// Operations of all threads between the start and the end.
    count: AtomicU64,
}

/// One worker's part in one turn.
fn work([worker, workers]: [usize; 2], entrants: &[Entrant], turn: usize, start: &Barrier, slices: &[Slice]) {
    for offset in 0..entrants.len() {
        let at = (turn + offset) % entrants.len();
        start.wait();
        if (worker + turn) % workers < entrants[at].threads {
            slices[at].count.fetch_add(count(&entrants[at], worker, &slices[at]), Ordering::Relaxed);
        }
    }
}

/// Runs until the end of the slice, and counts what falls into it.
fn count(entrant: &Entrant, worker: usize, slice: &Slice) -> u64 {
    let mut number = (worker as u64) << 40;
    let mut run_batch = || {
        (entrant.operation)(number..number + entrant.batch);
        number += entrant.batch;
    };
    if slice.arrived.fetch_add(1, Ordering::Relaxed) + 1 == entrant.threads {
        slice.start.get_or_init(|| Instant::now() + LEAD);
    }
    let start = loop {
        match slice.start.get() {
            Some(start) => break *start,
            None => run_batch(),
        }
    };
    let mut count = 0;
    loop {
        run_batch();
        let now = Instant::now();
        if now >= start + SLICE {
            return count;
        }
        if now >= start {
            count += entrant.batch;
        }
    }
}

//! Contests that run on several threads at once and count operations per time slice.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use core_affinity::CoreId;

use crate::labels::PICKS;
use crate::measure::{Figures, Operation, count_for, in_sittings};

/// Time during which one entrant's operations are counted in one turn.
const SLICE: Duration = Duration::from_millis(4);
/// Time for which all of an entrant's threads run before counting starts.
const LEAD: Duration = Duration::from_micros(200);
/// Time between two reads of the clock.
const BATCH: Duration = Duration::from_micros(10);

/// An operation that runs on a given number of threads.
pub(crate) struct Entrant {
    name: String,
    operation: Operation,
    threads: usize,
    /// Operations between two reads of the clock.
    batch: u64,
}

impl Entrant {
    pub(crate) fn new(name: impl Into<String>, operation: &Operation, threads: usize) -> Self {
        // Warm up: the first run takes longer and would make the batches too small.
        operation(0..PICKS as u64);
        Self { name: name.into(), operation: Arc::clone(operation), threads, batch: count_for(operation, BATCH) }
    }
}

/// Measures the operations per second of each entrant.
pub(crate) fn rates(entrants: Vec<Entrant>, rounds: usize) -> Figures {
    let mut race = Race::new(entrants);
    in_sittings(rounds, |rounds| race.sit(rounds));
    race.finish()
}

/// Entrants that are compared in interleaved rounds, which are split into sittings.
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

    /// Runs the given number of additional rounds.
    ///
    /// All rounds use the same threads, each bound to a core. Otherwise, the scheduler could keep two threads on one
    /// core for a whole slice, and the threads would not contend.
    ///
    /// Each round has one turn per core. Entrants with one thread run on a different core in each turn, because one
    /// core may be slower than another for minutes. The rate for two threads is thus compared with the average rate of
    /// both cores.
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

    /// Returns the figures for the fastest quartile of rounds.
    pub(crate) fn finish(self) -> Figures {
        self.figures.quietest_quarter_of_rates()
    }
}

fn cores() -> Vec<CoreId> {
    core_affinity::get_core_ids().unwrap_or_default()
}

/// Binds the current thread to one core. Different numbers select different cores if there are enough cores.
pub(crate) fn bind_to_core(number: usize) {
    let cores = cores();
    if let Some(core) = cores.get(number % cores.len().max(1)) {
        core_affinity::set_for_current(*core);
    }
}

/// One entrant's slice in one turn.
#[derive(Default)]
struct Slice {
    /// Number of threads that are running.
    arrived: AtomicUsize,
    /// Set when the last thread starts, so that all threads run concurrently and contend.
    start: OnceLock<Instant>,
    /// Operations completed by all threads during the slice.
    count: AtomicU64,
}

/// Runs one worker's part of one turn.
fn work([worker, workers]: [usize; 2], entrants: &[Entrant], turn: usize, start: &Barrier, slices: &[Slice]) {
    for offset in 0..entrants.len() {
        let at = (turn + offset) % entrants.len();
        start.wait();
        if (worker + turn) % workers < entrants[at].threads {
            slices[at].count.fetch_add(count(&entrants[at], worker, &slices[at]), Ordering::Relaxed);
        }
    }
}

/// Runs until the end of the slice and returns the number of operations within it.
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

//! Contests on several threads at once: how many operations there are in a slice of time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::measure::{Figures, Operation, count_for};

/// How long one contestant is counted in one round.
const SLICE: Duration = Duration::from_millis(4);
/// How long it runs before and after that: a thread that came later is to be as contended to its end.
const MARGIN: Duration = Duration::from_micros(200);
/// How long it runs between two looks at the clock.
const BATCH: Duration = Duration::from_micros(10);

/// An operation on a number of threads.
pub(crate) struct Entrant<'o> {
    name: String,
    operation: &'o Operation,
    threads: usize,
    /// Operations between two looks at the clock.
    batch: u64,
}

impl<'o> Entrant<'o> {
    pub(crate) fn new(name: impl Into<String>, operation: &'o Operation, threads: usize) -> Self {
        Self { name: name.into(), operation, threads, batch: count_for(operation, BATCH) }
    }
}

/// Operations a second of each, interleaved by rounds. The threads are the same ones for all, each bound to its core: for
/// the length of a slice a scheduler may leave two on one core, where they do not contend.
pub(crate) fn rates(entrants: &[Entrant<'_>], rounds: usize) -> Figures {
    let workers = entrants.iter().map(|entrant| entrant.threads).max().unwrap_or(0);
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let start = Barrier::new(workers);
    let slices: Vec<_> = (0..rounds * entrants.len()).map(|_| Slice::default()).collect();
    thread::scope(|scope| {
        for worker in 0..workers {
            let (start, slices) = (&start, &slices);
            let core = cores.get(worker % cores.len().max(1)).copied();
            scope.spawn(move || {
                core.map(core_affinity::set_for_current);
                work([worker, workers], entrants, rounds, start, slices);
            });
        }
    });
    let mut figures = Figures::new(entrants.iter().map(|entrant| entrant.name.clone()));
    for (at, slice) in slices.into_iter().enumerate() {
        figures.push(at % entrants.len(), slice.rates.into_inner().unwrap_or_default().iter().sum());
    }
    figures
}

/// One entrant in one round.
#[derive(Default)]
struct Slice {
    /// How many of its threads run by now.
    arrived: AtomicUsize,
    /// Operations a second of each thread.
    rates: Mutex<Vec<f64>>,
}

fn work([worker, workers]: [usize; 2], entrants: &[Entrant<'_>], rounds: usize, start: &Barrier, slices: &[Slice]) {
    for round in 0..rounds {
        for offset in 0..entrants.len() {
            let at = (round + offset) % entrants.len();
            start.wait();
            // Which core works alone changes from round to round: one may be busier with other programs.
            if (worker + round) % workers < entrants[at].threads {
                let slice = &slices[round * entrants.len() + at];
                let rate = rate(&entrants[at], worker, &slice.arrived);
                if let Ok(mut rates) = slice.rates.lock() {
                    rates.push(rate);
                }
            }
        }
    }
}

/// The clock starts when all threads run: threads that run one after the other would not contend.
fn rate(entrant: &Entrant<'_>, worker: usize, arrived: &AtomicUsize) -> f64 {
    let mut number = (worker as u64) << 40;
    arrived.fetch_add(1, Ordering::Relaxed);
    while arrived.load(Ordering::Relaxed) < entrant.threads {
        run_batch(entrant, &mut number);
    }
    run_for(MARGIN, entrant, &mut number);
    let (first, start) = (number, Instant::now());
    run_for(SLICE, entrant, &mut number);
    let (count, elapsed) = (number - first, start.elapsed());
    run_for(MARGIN, entrant, &mut number);
    count as f64 / elapsed.as_secs_f64()
}

fn run_for(duration: Duration, entrant: &Entrant<'_>, number: &mut u64) {
    let start = Instant::now();
    while start.elapsed() < duration {
        run_batch(entrant, number);
    }
}

fn run_batch(entrant: &Entrant<'_>, number: &mut u64) {
    (entrant.operation)(*number..*number + entrant.batch);
    *number += entrant.batch;
}

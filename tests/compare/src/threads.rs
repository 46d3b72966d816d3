//! Contests on several threads at once: how many operations there are in a slice of time.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::labels::PICKS;
use crate::measure::{Figures, Operation, Sittings, count_for};

/// How long one contestant is counted in one round.
const SLICE: Duration = Duration::from_millis(4);
/// How long all its threads run before that.
const LEAD: Duration = Duration::from_micros(200);
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
        // A first time takes longer, and would make the batches too small.
        operation(0..PICKS as u64);
        Self { name: name.into(), operation, threads, batch: count_for(operation, BATCH) }
    }
}

/// Operations a second of each, interleaved by rounds. The threads are the same ones for all, each bound to its core: for
/// the length of a slice a scheduler may leave two on one core, where they do not contend.
pub(crate) fn rates(entrants: &[Entrant<'_>], rounds: usize, sittings: Sittings) -> Figures {
    let workers = entrants.iter().map(|entrant| entrant.threads).max().unwrap_or(0);
    let start = Barrier::new(workers);
    let slices: Vec<_> = (0..rounds * entrants.len()).map(|_| Slice::default()).collect();
    thread::scope(|scope| {
        for worker in 0..workers {
            let (start, slices) = (&start, &slices);
            scope.spawn(move || {
                bind_to_core(worker);
                work([worker, workers], entrants, (rounds, sittings), start, slices);
            });
        }
    });
    let mut figures = Figures::new(entrants.iter().map(|entrant| entrant.name.clone()));
    for (at, slice) in slices.into_iter().enumerate() {
        figures.push(at % entrants.len(), slice.count.into_inner() as f64 / SLICE.as_secs_f64());
    }
    figures.quieter_half_of_rates()
}

/// Keeps the current thread on one core, another one for each number as long as there are as many.
pub(crate) fn bind_to_core(number: usize) {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
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

fn work(
    [worker, workers]: [usize; 2],
    entrants: &[Entrant<'_>],
    (rounds, sittings): (usize, Sittings),
    start: &Barrier,
    slices: &[Slice],
) {
    for round in 0..rounds {
        if round > 0 && round % rounds.div_ceil(sittings.count) == 0 {
            thread::sleep(sittings.pause);
        }
        for offset in 0..entrants.len() {
            let at = (round + offset) % entrants.len();
            start.wait();
            // Which core works alone changes from round to round: one may be busier with other programs.
            if (worker + round) % workers < entrants[at].threads {
                let slice = &slices[round * entrants.len() + at];
                slice.count.fetch_add(count(&entrants[at], worker, slice), Ordering::Relaxed);
            }
        }
    }
}

/// Runs until the end of the slice, and counts what falls into it.
fn count(entrant: &Entrant<'_>, worker: usize, slice: &Slice) -> u64 {
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

//! Contests between operations on one thread.
//!
//! Each round runs a short slice of each operation, so that other load on the machine affects all of them alike.

use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::labels::PICKS;

/// Running time of one contestant in one round.
const SLICE: Duration = Duration::from_millis(2);
/// Number of sittings. Rounds are spread out because a shared machine may be slow for several seconds at a time.
const SITTINGS: usize = 3;
/// Pause between two sittings.
const PAUSE: Duration = Duration::from_secs(1);

/// An operation to measure. It runs once for each number in the range. The number selects label values and amounts.
pub(crate) type Operation = Arc<dyn Fn(Range<u64>) + Send + Sync>;

/// Creates an operation whose results the optimizer cannot discard.
pub(crate) fn operation<R>(run: impl Fn(u64) -> R + Send + Sync + 'static) -> Operation {
    Arc::new(move |numbers| {
        for number in numbers {
            black_box(run(number));
        }
    })
}

/// Operations to compare.
#[derive(Default)]
pub(crate) struct Contest {
    contestants: Vec<(String, Operation)>,
}

impl Contest {
    /// Adds an operation and warms it up, so that the measured part does not create series.
    pub(crate) fn add(&mut self, name: impl Into<String>, operation: Operation) {
        operation(0..PICKS as u64);
        self.contestants.push((name.into(), operation));
    }

    /// Adds an operation if it is `Some`.
    pub(crate) fn extend(&mut self, name: impl Into<String>, operation: Option<Operation>) {
        if let Some(operation) = operation {
            self.add(name, operation);
        }
    }

    /// Runs all operations, starting each round with a different one, and returns the fastest quartile of rounds.
    pub(crate) fn run(self, rounds: usize) -> Figures {
        let mut running = Running::new([self]);
        in_sittings(rounds, |rounds| running.sit(rounds));
        let [figures] = running.finish();
        figures
    }
}

/// Splits the rounds into a few sittings.
pub(crate) fn in_sittings(rounds: usize, mut sit: impl FnMut(usize)) {
    let per_sitting = rounds.div_ceil(SITTINGS);
    for sitting in 0..rounds.div_ceil(per_sitting) {
        if sitting > 0 {
            thread::sleep(PAUSE);
        }
        sit(per_sitting.min(rounds - sitting * per_sitting));
    }
}

/// Several contests that all run in each sitting, so that other load on the machine affects them alike.
pub(crate) struct Running<const N: usize> {
    contests: [(Vec<Operation>, Vec<u64>, Figures); N],
    round: usize,
}

impl<const N: usize> Running<N> {
    pub(crate) fn new(contests: [Contest; N]) -> Self {
        let contests = contests.map(|Contest { contestants }| {
            let figures = Figures::new(contestants.iter().map(|(name, _)| name.clone()));
            let operations: Vec<_> = contestants.into_iter().map(|(_, operation)| operation).collect();
            let counts: Vec<_> = operations.iter().map(|operation| count_for(operation, SLICE)).collect();
            (operations, counts, figures)
        });
        Self { contests, round: 0 }
    }

    /// Runs the given number of additional rounds.
    pub(crate) fn sit(&mut self, rounds: usize) {
        let until = self.round + rounds;
        for (operations, counts, figures) in &mut self.contests {
            for round in self.round..until {
                for offset in 0..operations.len() {
                    let at = (round + offset) % operations.len();
                    figures.push(at, time(&operations[at], round as u64, counts[at]));
                }
            }
        }
        self.round = until;
    }

    /// Returns the fastest quartile of rounds for each contest.
    pub(crate) fn finish(self) -> [Figures; N] {
        self.contests.map(|(_, _, figures)| figures.quietest_quarter())
    }
}

/// Returns the nanoseconds per operation.
///
/// An unmeasured run first reloads the cache lines that other contestants have evicted.
fn time(operation: &Operation, round: u64, count: u64) -> f64 {
    let first = round * count;
    operation(first..first + count / 8);
    let start = Instant::now();
    operation(first..first + count);
    start.elapsed().as_secs_f64() * 1e9 / count as f64
}

/// Returns the number of operations that take about `duration`. The trial runs also warm up the operation.
pub(crate) fn count_for(operation: &Operation, duration: Duration) -> u64 {
    let mut count = 16;
    loop {
        let start = Instant::now();
        operation(0..count);
        if start.elapsed() >= duration / 4 {
            let per_second = count as f64 / start.elapsed().as_secs_f64();
            return ((per_second * duration.as_secs_f64()) as u64).max(16);
        }
        count *= 2;
    }
}

/// One figure for each contestant and round.
#[derive(Clone)]
pub(crate) struct Figures {
    contestants: Vec<(String, Vec<f64>)>,
    /// The figures from all rounds, including the dropped slow rounds.
    all: Option<Box<Figures>>,
}

impl Figures {
    pub(crate) fn new(names: impl Iterator<Item = String>) -> Self {
        Self { contestants: names.map(|name| (name, Vec::new())).collect(), all: None }
    }

    pub(crate) fn push(&mut self, contestant: usize, figure: f64) {
        self.contestants[contestant].1.push(figure);
    }

    /// Keeps the quarter of the rounds in which the contestants were fastest, relative to their medians.
    ///
    /// If all contestants are slow in a round, another program is using the machine. Such load does not slow all
    /// contestants by the same factor, so it would distort the ratios.
    pub(crate) fn quietest_quarter(self) -> Self {
        self.best_quarter(|figure, median| figure / median)
    }

    /// Like [`Figures::quietest_quarter`], but for figures where larger is better.
    pub(crate) fn quietest_quarter_of_rates(self) -> Self {
        self.best_quarter(|figure, median| median / figure)
    }

    fn best_quarter(mut self, disturbance: impl Fn(f64, f64) -> f64) -> Self {
        self.all = Some(Box::new(self.clone()));
        let medians: Vec<f64> = self.contestants.iter().map(|(_, figures)| median(figures.clone())).collect();
        let rounds = self.contestants.iter().map(|(_, figures)| figures.len()).min().unwrap_or(0);
        let disturbance = |round: usize| -> f64 {
            self.contestants
                .iter()
                .zip(&medians)
                .map(|((_, figures), median)| disturbance(figures[round], *median))
                .sum()
        };
        let mut order: Vec<(f64, usize)> = (0..rounds).map(|round| (disturbance(round), round)).collect();
        order.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        order.truncate(rounds.div_ceil(4));
        for (_, figures) in &mut self.contestants {
            *figures = order.iter().map(|(_, round)| figures[*round]).collect();
        }
        self
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.contestants.iter().map(|(name, _)| &**name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.names().any(|contestant| contestant == name)
    }

    /// Returns the median over the kept rounds.
    pub(crate) fn median(&self, name: &str) -> f64 {
        median(self.rounds(name).to_vec())
    }

    /// Returns the median of the per-round ratios of `name` to `reference`.
    pub(crate) fn ratio(&self, name: &str, reference: &str) -> f64 {
        median(self.rounds(name).iter().zip(self.rounds(reference)).map(|(figure, of)| figure / of).collect())
    }

    /// Like [`Figures::ratio`], but includes the dropped rounds.
    pub(crate) fn ratio_of_all_rounds(&self, name: &str, reference: &str) -> f64 {
        self.all.as_deref().unwrap_or(self).ratio(name, reference)
    }

    pub(crate) fn rounds(&self, name: &str) -> &[f64] {
        let of_that_name = self.contestants.iter().find(|(contestant, _)| contestant == name);
        &of_that_name.unwrap_or_else(|| panic!("there is no contestant `{name}`")).1
    }
}

pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len() % 2 == 1 { figures[middle] } else { f64::midpoint(figures[middle - 1], figures[middle]) }
}

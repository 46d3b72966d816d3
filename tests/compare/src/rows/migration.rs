//! Instrumented futures that start on one thread and finish on another.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::handler::{Failed, Request, Suspended};
use crate::measure::Figures;
use crate::peers::{bare, ours};
use crate::report::{Report, figure};
use crate::threads::bind_to_core;

/// Number of futures sent to the other thread at once. Large enough to make the cost of the channel negligible.
const FUTURES: u64 = 2_000;

const NAMES: [&str; 4] = ["bare, same thread", "bare, other thread", "ours, same thread", "ours, other thread"];

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let figures = thread::scope(|scope| {
        let (to_other, started) = channel();
        let (to_us, times) = channel();
        scope.spawn(move || finish_all(&started, &to_us));
        scope.spawn(move || contest(rounds, &to_other, &times)).join()
    });
    let figures = figures.ok().context("a thread panicked")??;

    let more = |whose: &str| figures.ratio(&format!("{whose}, other thread"), &format!("{whose}, same thread"));
    report.fact("migration_ours", more("ours"));
    report.fact("migration_bare", more("bare"));
    let reference = |name: &str| format!("{}same thread", &name[..name.find(' ').map_or(0, |space| space + 1)]);
    let row =
        |name: &str| vec![name.to_owned(), figure(figures.median(name)), figure(figures.ratio(name, &reference(name)))];
    report.table("Futures finished", &["where", "ns", "over the same thread"], &NAMES.map(row));
    Ok(())
}

/// Starts all futures on this thread and finishes them on the thread that the contestant's name specifies.
fn contest(rounds: usize, other: &Sender<Vec<Suspended>>, times: &Receiver<f64>) -> Result<Figures> {
    bind_to_core(0);
    let mut figures = Figures::new(NAMES.into_iter().map(str::to_owned));
    for round in 0..rounds {
        for offset in 0..NAMES.len() {
            let at = (round + offset) % NAMES.len();
            let started = start(if NAMES[at].starts_with("bare") { bare::suspended } else { ours::suspended });
            let time = if NAMES[at].ends_with("same thread") {
                finish(started)
            } else {
                other.send(started).ok().context("the other thread has ended")?;
                times.recv()?
            };
            figures.push(at, time);
        }
    }
    Ok(figures)
}

fn start(make: fn(Request) -> Suspended) -> Vec<Suspended> {
    let mut futures: Vec<_> = (0..FUTURES).map(|number| make(Request::new(number, false))).collect();
    for future in &mut futures {
        assert!(poll(future).is_pending(), "a future waits once");
    }
    futures
}

/// Finishes the futures and returns the nanoseconds per future.
fn finish(mut futures: Vec<Suspended>) -> f64 {
    let start = Instant::now();
    for future in &mut futures {
        assert!(poll(future).is_ready(), "a future waits only once");
    }
    start.elapsed().as_secs_f64() * 1e9 / FUTURES as f64
}

fn finish_all(started: &Receiver<Vec<Suspended>>, times: &Sender<f64>) {
    bind_to_core(1);
    for futures in started {
        if times.send(finish(futures)).is_err() {
            return;
        }
    }
}

fn poll(future: &mut Suspended) -> Poll<Result<u64, Failed>> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

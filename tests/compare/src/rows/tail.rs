//! Tail latency of calls during a disturbance, compared with an idle process.
//!
//! Each peer and disturbance is measured in a separate process, in windows that alternate between idle and disturbed.
//! The figures are medians over the windows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use metrics_core::Registry;

use crate::child::Task;
use crate::labels::{PICKS, paths};
use crate::measure::{Operation, median};
use crate::peers::{self, Exposition, ours, prometheus};
use crate::report::{Report, figure};

const SERIES: usize = 100_000;
/// The time between two scrapes.
const INTERVAL: Duration = Duration::from_millis(100);
const WINDOW: Duration = Duration::from_millis(500);
/// The share of calls that are faster than each percentile.
const PERCENTILES: [f64; 3] = [0.999, 0.9999, 1.0];

/// Disturbances during the measurement.
const SCRAPES: &str = "scrapes";
const CHURN: &str = "churn";
const THREADS: &str = "threads";

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let mut rows = Vec::new();
    let contests = [
        ("ours", SCRAPES),
        ("prometheus", SCRAPES),
        ("measured", SCRAPES),
        ("ours", CHURN),
        ("prometheus", CHURN),
        ("ours", THREADS),
        ("prometheus", THREADS),
    ];
    for (peer, disturbance) in contests {
        let task = Task::Tail { peer: peer.to_owned(), disturbance: disturbance.to_owned(), rounds: rounds.min(21) };
        let figures = task.figures()?;
        let (idle, disturbed) = figures.split_at(PERCENTILES.len());
        if (peer, disturbance) == ("ours", SCRAPES) {
            report.judge("tail_scrapes", disturbed[0] / idle[0]);
        }
        report.fact(format!("tail_{disturbance}_{peer}"), disturbed[0] / idle[0]);
        let mut row = vec![format!("{peer}: {disturbance}")];
        row.extend(
            idle.iter().zip(disturbed).map(|(idle, disturbed)| format!("{} → {}", figure(*idle), figure(*disturbed))),
        );
        row.push(figure(disturbed[0] / idle[0]));
        rows.push(row);
    }
    let columns = ["disturbance", "99.9%, ns", "99.99%, ns", "slowest, ns", "99.9% over idle"];
    report.table("Slowest calls by 10 paths, idle → disturbed", &columns, &rows);
    Ok(())
}

/// Returns the percentiles of an idle process, then those with the disturbance, in nanoseconds.
pub(crate) fn measure(name: &str, disturbance: &str, rounds: usize) -> Result<Vec<f64>> {
    let peer = peers::all().into_iter().find(|peer| peer.name() == name).context("unknown peer")?;
    let call = peer.call(paths(10), false);
    call(0..PICKS as u64);
    let mut step: Box<dyn FnMut() + Send> = match (name, disturbance) {
        (_, SCRAPES) => scrapes(name)?,
        ("ours", CHURN) => return churn(&ours::call_in_churned(), Box::new(ours::churn), rounds),
        ("prometheus", CHURN) => return churn(&call, Box::new(prometheus::churn), rounds),
        (_, THREADS) => {
            let call = call.clone();
            Box::new(move || {
                thread::scope(|scope| drop(scope.spawn(|| call(0..PICKS as u64))));
            })
        }
        _ => bail!("{name} has no {disturbance}"),
    };
    Ok(windows(&call, &mut *step, rounds))
}

fn churn(call: &Operation, mut step: Box<dyn FnMut() + Send>, rounds: usize) -> Result<Vec<f64>> {
    call(0..PICKS as u64);
    Ok(windows(call, &mut *step, rounds))
}

/// Scrapes many series, including those of the calls.
fn scrapes(name: &str) -> Result<Box<dyn FnMut() + Send>> {
    let peer = peers::all().into_iter().find(|peer| peer.name() == name).context("unknown peer")?;
    let mut scrape: Exposition = peer.exposition(SERIES).context("the peer has no exposition")?;
    let is_ours = name == "ours";
    Ok(Box::new(move || {
        let start = Instant::now();
        scrape();
        if is_ours {
            drop(Registry::global().to_text());
        }
        thread::sleep(INTERVAL.saturating_sub(start.elapsed()));
    }))
}

fn windows(call: &Operation, step: &mut (dyn FnMut() + Send), rounds: usize) -> Vec<f64> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    if let Some(core) = cores.first() {
        core_affinity::set_for_current(*core);
    }
    let mut idle = Vec::new();
    let mut disturbed = Vec::new();
    for _ in 0..rounds {
        idle.push(percentiles(call));
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                // Otherwise, the scheduler would sometimes put threads on the core of the calls.
                if let Some(core) = cores.get(1) {
                    core_affinity::set_for_current(*core);
                }
                while !done.load(Ordering::Relaxed) {
                    step();
                }
            });
            disturbed.push(percentiles(call));
            done.store(true, Ordering::Relaxed);
        });
    }
    let of = |windows: &[[f64; 3]], at: usize| median(windows.iter().map(|window| window[at]).collect());
    [idle, disturbed].iter().flat_map(|windows| [0, 1, 2].map(|at| of(windows, at))).collect()
}

/// Times each call for one window.
fn percentiles(call: &Operation) -> [f64; 3] {
    let mut times: Vec<u64> = Vec::with_capacity(1 << 23);
    let begin = Instant::now();
    let mut start = begin;
    let mut number = 0;
    while start - begin < WINDOW && times.len() < times.capacity() {
        call(number..number + 1);
        let end = Instant::now();
        times.push((end - start).as_nanos() as u64);
        start = end;
        number += 1;
    }
    times.sort_unstable();
    PERCENTILES.map(|share| times[((times.len() - 1) as f64 * share) as usize] as f64)
}

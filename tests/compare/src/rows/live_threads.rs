//! Measures a scrape of summaries that many live threads have updated.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use anyhow::Result;
use metrics_core::{Format, Registry};

use crate::labels::{Labels, path};
use crate::measure::{Operation, median};
use crate::peers::ours;
use crate::report::{Report, figure};

const SERIES: usize = 10_000;
const THREADS: usize = 64;

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let labels = Labels::in_order(SERIES, |at| [path(at)]);
    let registry = Registry::new();
    let observe = ours::summary_in(&registry, labels);
    observe(0..SERIES as u64);
    let alone = scrape(&registry, rounds);
    let together = with_threads(&observe, || scrape(&registry, rounds));
    report.judge("scrape_64_threads", together / alone);
    let row = |what: &str, ns: f64| vec![what.to_owned(), figure(ns), figure(ns / alone)];
    let rows = [row("1", alone), row("64", together)];
    report.table(
        "Scrape of 10k summaries, all touched by each live thread",
        &["threads", "ns per series", "over 1"],
        &rows,
    );
    Ok(())
}

/// Calls `run` while all threads are alive, after each thread has touched all series.
fn with_threads(observe: &Operation, run: impl FnOnce() -> f64) -> f64 {
    let step = Barrier::new(THREADS + 1);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                observe(0..SERIES as u64);
                step.wait();
                step.wait();
            });
        }
        step.wait();
        let value = run();
        step.wait();
        value
    })
}

/// Returns the scrape time per series, in nanoseconds.
fn scrape(registry: &Registry, rounds: usize) -> f64 {
    let mut text = Vec::new();
    let times = (0..rounds).map(|_| {
        text.clear();
        let start = Instant::now();
        registry.encode(Format::Text, &mut text);
        start.elapsed().as_secs_f64() * 1e9 / SERIES as f64
    });
    median(times.collect())
}

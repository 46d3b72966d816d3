//! The cost and the memory of quantiles and native buckets.

use anyhow::Result;

use crate::child::Task;
use crate::measure::Contest;
use crate::peers::distributions::{KINDS, native_expositions, observation, quantile_expositions};
use crate::report::{Report, figure};
use crate::rows::scrape::contest;
use crate::threads::{Entrant, rates};

/// The kinds with exponential buckets.
const EXPONENTIAL: [&str; 2] = ["quantiles", "native"];

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    cost(rounds, report);
    two_threads(rounds, report);
    scrapes(rounds, report)?;
    memory(report)
}

/// Scrapes of 10,000 series, compared with the only other library that can expose them.
fn scrapes(rounds: usize, report: &mut Report) -> Result<()> {
    const SERIES: usize = 10_000;
    let mut rows = Vec::new();
    for (what, peer, expositions) in [
        ("native", "prometheus-client", native_expositions(SERIES)),
        ("quantiles", "metrics", quantile_expositions(SERIES)),
    ] {
        let figures = contest(expositions, SERIES, rounds)?;
        let ratio = figures.ratio("ours", peer);
        report.judge(&format!("{what}_scrape_over_best_peer"), ratio);
        rows.push(vec![what.to_owned(), figure(figures.median("ours")), peer.to_owned(), figure(ratio)]);
    }
    report.table("Scrape of 10,000 distributions", &["what", "ns per series", "best peer", "over it"], &rows);
    Ok(())
}

fn cost(rounds: usize, report: &mut Report) {
    let mut contest = Contest::default();
    for kind in KINDS {
        contest.add(kind, observation(kind));
    }
    let figures = contest.run(rounds);
    for kind in EXPONENTIAL {
        report.judge(&format!("{kind}_over_plain"), figures.ratio(kind, "plain"));
        report.judge(&format!("{kind}_over_prometheus"), figures.ratio(kind, "prometheus"));
    }
    let row = |kind: &str| {
        let over = |other: &str| figure(figures.ratio(kind, other));
        vec![kind.to_owned(), figure(figures.median(kind)), over("plain"), over("prometheus")]
    };
    let columns = ["what", "ns", "over the plain summary", "over `prometheus`"];
    report.table("Observing log-normal latencies", &columns, &KINDS.map(row));
}

fn two_threads(rounds: usize, report: &mut Report) {
    let operations = EXPONENTIAL.map(|kind| (kind, observation(kind)));
    let entrants = operations.iter().flat_map(|(kind, operation)| {
        [1, 2].map(|threads| Entrant::new(format!("{kind} {threads}"), operation, threads))
    });
    let rates = rates(entrants.collect(), rounds);
    for kind in EXPONENTIAL {
        let factor = rates.ratio(&format!("{kind} 2"), &format!("{kind} 1"));
        report.judge(&format!("{kind}_2_threads"), factor);
    }
}

fn memory(report: &mut Report) -> Result<()> {
    let mut rows = Vec::new();
    for kind in ["plain", "quantiles", "native"] {
        let one = Task::Distribution { kind: kind.to_owned(), threads: 1 }.run()? / 1024.0;
        let many = Task::Distribution { kind: kind.to_owned(), threads: 64 }.run()? * 2_000.0 / 1024.0 / 1024.0;
        if kind != "plain" {
            report.judge(&format!("{kind}_memory_kib"), one);
            report.judge(&format!("{kind}_memory_64_threads_mib"), many);
        }
        rows.push(vec![kind.to_owned(), figure(one), figure(many)]);
    }
    let columns = ["what", "1 thread, KiB per series", "64 threads, MiB for 2,000 series"];
    report.table("Memory of series with a million latencies each", &columns, &rows);
    Ok(())
}

//! The cost of a counter lookup as the number of series, labels, families and threads grows.

use anyhow::Result;

use crate::labels::{Labels, PICKS, paths};
use crate::measure::{Contest, Operation};
use crate::peers::Peer;
use crate::peers::limit::Limit;
use crate::peers::ours::{self, Ours};
use crate::peers::prometheus::{self, Prometheus};
use crate::report::{Report, figure};
use crate::threads::{Entrant, rates};

/// The comparisons that have a row in the budget.
const BUDGETED: [(&str, &str); 2] = [("series_100000", "counter_100k"), ("series_1000000", "counter_1m")];

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let rows: Vec<_> = [10, 100, 1_000, 10_000, 100_000, 1_000_000]
        .into_iter()
        .map(|series| {
            let warm = |make: fn(&dyn Peer, Labels<1>) -> Option<Operation>, peer: &dyn Peer| {
                let labels = paths(series);
                let picks = labels.picks();
                let operation = make(peer, labels);
                operation.inspect(|operation| operation(0..picks))
            };
            let by_one = |peer: &dyn Peer, labels| peer.counter_by_one(labels);
            compare(&format!("series_{series}"), series, warm(by_one, &Ours), warm(by_one, &Prometheus), rounds, report)
        })
        .collect();
    table("Series of 1 label", "series", &rows, report);

    let rows = [
        by_labels::<0>(rounds, report),
        by_labels::<1>(rounds, report),
        by_labels::<2>(rounds, report),
        by_labels::<3>(rounds, report),
        by_labels::<4>(rounds, report),
        by_labels::<5>(rounds, report),
    ];
    table("Labels, 10 sets", "labels", &rows, report);
    let rows = [1, 16, 64].map(|families| by_families(families, rounds, report));
    table("10 series of the last of several families on a thread", "families", &rows, report);
    by_threads(rounds, report);
    Ok(())
}

fn by_labels<const N: usize>(rounds: usize, report: &mut Report) -> Vec<String> {
    const NAMES: [&str; 5] = ["path", "method", "status", "zone", "kind"];
    let names = std::array::from_fn::<_, N, _>(|at| NAMES[at]);
    let labels = Labels::new(10, |set| std::array::from_fn(|at| format!("{}-{set:02}", NAMES[at])));
    let ours = ours::counter_by(names, labels.clone());
    compare(&format!("labels_{N}"), N, Some(ours), Some(prometheus::counter_by(names, labels)), rounds, report)
}

fn by_families(families: usize, rounds: usize, report: &mut Report) -> Vec<String> {
    let counter = || ours::counter_by(["path"], paths(10));
    let others: Vec<_> = (1..families).map(|_| counter()).collect();
    for other in others.iter().chain(&others) {
        other(0..PICKS as u64);
    }
    let prometheus = prometheus::counter_by(["path"], paths(10));
    compare(&format!("families_{families}"), families, Some(counter()), Some(prometheus), rounds, report)
}

fn compare(
    id: &str,
    count: usize,
    ours: Option<Operation>,
    prometheus: Option<Operation>,
    rounds: usize,
    report: &mut Report,
) -> Vec<String> {
    let mut contest = Contest::default();
    contest.extend("ours", ours);
    contest.extend("prometheus", prometheus);
    let figures = contest.run(rounds);
    let ratio = figures.ratio("ours", "prometheus");
    report.fact(format!("growth_{id}_ns"), figures.median("ours"));
    report.fact(format!("growth_{id}_over_prometheus"), ratio);
    if let Some((_, row)) = BUDGETED.iter().find(|(budgeted, _)| *budgeted == id) {
        report.judge(row, ratio);
    }
    vec![count.to_string(), figure(figures.median("ours")), figure(figures.median("prometheus")), figure(ratio)]
}

fn table(title: &str, count: &str, rows: &[Vec<String>], report: &Report) {
    report.table(title, &[count, "ours ns", "`prometheus` ns", "ratio"], rows);
}

fn by_threads(rounds: usize, report: &mut Report) {
    const THREADS: [usize; 4] = [1, 2, 4, 8];
    let peers: [&dyn Peer; 3] = [&Ours, &Limit, &Prometheus];
    let calls: Vec<_> = peers.iter().map(|peer| (peer.name(), peer.call(paths(10), false))).collect();
    let entrants: Vec<_> = THREADS
        .into_iter()
        .flat_map(|threads| {
            calls.iter().map(move |(name, call)| Entrant::new(format!("{name} {threads}"), call, threads))
        })
        .collect();
    let rates = rates(entrants, rounds);
    let row = |threads: usize| {
        let rate = |name: &str| figure(rates.median(&format!("{name} {threads}")) / 1e6);
        let ratio = rates.ratio(&format!("ours {threads}"), &format!("prometheus {threads}"));
        vec![threads.to_string(), rate("ours"), rate("limit"), rate("prometheus"), figure(ratio)]
    };
    for threads in THREADS {
        report.fact(format!("growth_threads_{threads}_mops"), rates.median(&format!("ours {threads}")) / 1e6);
    }
    report.table(
        "Calls by 10 paths on threads, M/s",
        &["threads", "ours", "limit", "`prometheus`", "ours over `prometheus`"],
        &THREADS.map(row),
    );
}

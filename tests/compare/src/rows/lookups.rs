//! Counters that are looked up by label values made at run time.

use anyhow::Result;

use crate::labels::{paths, three};
use crate::measure::{Contest, Operation};
use crate::peers::Peer;
use crate::peers::ours::Ours;
use crate::peers::prometheus::Prometheus;
use crate::report::{Report, figure};

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let mut rows = Vec::new();
    let by_path = |peer: &dyn Peer| peer.counter_by_one(paths(10));
    rows.push(compare("10 values of 1 label", "counter_10_values", by_path, rounds, report));
    let by_three = |peer: &dyn Peer| peer.counter_by_three(three());
    rows.push(compare("120 sets of 3 labels", "counter_3_labels", by_three, rounds, report));
    report.table("Counter looked up", &["labels", "ours ns", "`prometheus` ns", "ratio"], &rows);
    Ok(())
}

fn compare(
    what: &str,
    id: &str,
    make: impl Fn(&dyn Peer) -> Option<Operation>,
    rounds: usize,
    report: &mut Report,
) -> Vec<String> {
    let mut contest = Contest::default();
    contest.extend("ours", make(&Ours));
    contest.extend("prometheus", make(&Prometheus));
    let figures = contest.run(rounds);
    let ratio = figures.ratio("ours", "prometheus");
    report.judge(id, ratio);
    vec![what.to_owned(), figure(figures.median("ours")), figure(figures.median("prometheus")), figure(ratio)]
}

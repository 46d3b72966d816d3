//! Counters and summaries whose handles are held.

use anyhow::Result;

use crate::measure::{Contest, Operation};
use crate::peers::Peer;
use crate::peers::limit::Limit;
use crate::peers::ours::Ours;
use crate::peers::prometheus::Prometheus;
use crate::report::{Report, figure};

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let counter = compare("counter", "counter_held", |peer| peer.counter(), rounds, report);
    let summary = compare("summary or histogram", "summary_held", |peer| peer.observation(), rounds, report);
    report.table("Handle held", &["what", "ns", "over `prometheus`"], &[counter, summary].concat());
    Ok(())
}

fn compare(
    what: &str,
    id: &str,
    make: impl Fn(&dyn Peer) -> Option<Operation>,
    rounds: usize,
    report: &mut Report,
) -> Vec<Vec<String>> {
    let mut contest = Contest::default();
    let peers: [&dyn Peer; 3] = [&Ours, &Limit, &Prometheus];
    for peer in peers {
        contest.extend(peer.name(), make(peer));
    }
    let figures = contest.run(rounds);
    report.judge(id, figures.ratio("ours", "prometheus"));
    report.fact(format!("{id}_over_limit"), figures.ratio("ours", "limit"));
    let row = |name: &str| {
        vec![format!("{what}: {name}"), figure(figures.median(name)), figure(figures.ratio(name, "prometheus"))]
    };
    figures.names().map(row).collect()
}

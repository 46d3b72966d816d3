//! Counters and summaries that are updated through held handles.

use anyhow::Result;

use crate::measure::{Contest, Figures, Operation};
use crate::peers::Peer;
use crate::peers::limit::Limit;
use crate::peers::ours::{self, Ours};
use crate::peers::prometheus::Prometheus;
use crate::report::{Report, figure};

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let counter = contest(|peer| peer.counter(), rounds);
    report.judge("counter_held", counter.ratio("ours", "prometheus"));
    report.fact("counter_held_over_limit", counter.ratio("ours", "limit"));
    let summary = contest(|peer| peer.observation(), rounds);
    report.judge("summary_held", summary.ratio("ours", "prometheus"));
    report.fact("summary_held_over_limit", summary.ratio("ours", "limit"));
    // `prometheus` records durations only in histograms, so also compare histograms with the same buckets.
    let with_buckets = |peer: &dyn Peer| match peer.name() {
        "ours" => Some(ours::histogram()),
        _ => peer.observation(),
    };
    let histogram = contest(with_buckets, rounds);
    report.fact("histogram_held_over_prometheus", histogram.ratio("ours", "prometheus"));
    let rows =
        [rows("counter", &counter), rows("summary or histogram", &summary), rows("with the same buckets", &histogram)];
    report.table("Handle held", &["what", "ns", "over `prometheus`"], &rows.concat());
    Ok(())
}

fn contest(make: impl Fn(&dyn Peer) -> Option<Operation>, rounds: usize) -> Figures {
    let mut contest = Contest::default();
    let peers: [&dyn Peer; 3] = [&Ours, &Limit, &Prometheus];
    for peer in peers {
        contest.extend(peer.name(), make(peer));
    }
    contest.run(rounds)
}

fn rows(what: &str, figures: &Figures) -> Vec<Vec<String>> {
    let row = |name: &str| {
        vec![format!("{what}: {name}"), figure(figures.median(name)), figure(figures.ratio(name, "prometheus"))]
    };
    figures.names().map(row).collect()
}

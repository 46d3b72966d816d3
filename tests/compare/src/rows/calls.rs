//! Instrumented calls on one thread, over the limit and over the `prometheus` crate.

use anyhow::Result;

use crate::labels::paths;
use crate::measure::{Contest, Figures};
use crate::peers::limit::{self, Limit};
use crate::peers::ours::{self, Ours};
use crate::peers::prometheus::{self, Prometheus};
use crate::peers::{Peer, bare};
use crate::report::{Report, figure};

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let mut rows = Vec::new();
    for (outcome, fails) in [("ok", false), ("err", true)] {
        let mut literal = Contest::default();
        literal.add("ours", ours::call_literal(fails));
        literal.add("limit", limit::call_literal(fails));
        literal.add("prometheus", prometheus::call_literal(fails));
        literal.add("prometheus held", prometheus::call_held(fails));
        literal.add("bare", bare::call_literal(fails));
        rows.extend(judge(&format!("call_literal_{outcome}"), &literal.run(rounds), report));

        let mut path = Contest::default();
        let peers: [&dyn Peer; 3] = [&Ours, &Limit, &Prometheus];
        for peer in peers {
            path.add(peer.name(), peer.call(paths(10), fails));
        }
        path.add("bare", bare::call(paths(10), fails));
        rows.extend(judge(&format!("call_path_{outcome}"), &path.run(rounds), report));
    }
    report.table("Instrumented calls, one thread", &["call", "ns", "over the limit", "over `prometheus`"], &rows);
    Ok(())
}

fn judge(id: &str, figures: &Figures, report: &mut Report) -> Vec<Vec<String>> {
    report.judge(id, figures.ratio("ours", "limit"));
    report.judge(&format!("{id}_over_prometheus"), figures.ratio("ours", "prometheus"));
    if figures.has("prometheus held") {
        report.fact(format!("{id}_over_prometheus_held"), figures.ratio("ours", "prometheus held"));
    }
    let ratio = |name: &str, reference: &str| figure(figures.ratio(name, reference));
    let row = |name: &str| {
        let title = format!("{id}: {name}");
        vec![title, figure(figures.median(name)), ratio(name, "limit"), ratio(name, "prometheus")]
    };
    figures.names().map(row).collect()
}

//! Instrumented calls on one thread, relative to the limit and to the `prometheus` crate.

use crate::labels::paths;
use crate::measure::{Contest, Figures, Running};
use crate::peers::limit::{self, Limit};
use crate::peers::ours::{self, Ours};
use crate::peers::prometheus::{self, Prometheus};
use crate::peers::{Peer, bare};
use crate::report::{Report, figure};
use crate::rows::AllAlong;

const HELD: &str = "prometheus, handles held";

/// The names of all contestants, which are also the column titles.
const COLUMNS: [&str; 5] = ["ours", "limit", "prometheus", HELD, "bare"];

/// Calls with a literal path and with a path argument, for both outcomes.
pub(crate) struct Calls(Running<4>);

impl Calls {
    pub(crate) fn begin() -> Box<dyn AllAlong> {
        Box::new(Self(Running::new([by_literal(false), by_path(false), by_literal(true), by_path(true)])))
    }
}

impl AllAlong for Calls {
    fn sit(&mut self, rounds: usize) {
        self.0.sit(rounds);
    }

    fn finish(self: Box<Self>, report: &mut Report) {
        tell(self.0.finish(), report);
    }
}

fn tell([literal_ok, path_ok, literal_err, path_err]: [Figures; 4], report: &mut Report) {
    let mut rows = Vec::new();
    for (outcome, literal, path) in [("Ok", literal_ok, path_ok), ("Err", literal_err, path_err)] {
        let id = outcome.to_lowercase();
        judge(&format!("call_literal_{id}"), &literal, report);
        report.fact(format!("call_literal_{id}_over_prometheus_held"), literal.ratio("ours", HELD));
        rows.push(row(&format!("`\"/foo\"`, `{outcome}`"), &literal));
        judge(&format!("call_path_{id}"), &path, report);
        rows.push(row(&format!("`path`, 10 values, `{outcome}`"), &path));
    }
    let columns: Vec<_> = ["call, ns"]
        .into_iter()
        .chain(COLUMNS)
        .chain(["ours over limit", "over prometheus", "over handles held"])
        .collect();
    report.table("Instrumented calls, one thread", &columns, &rows);
}

fn by_literal(fails: bool) -> Contest {
    let mut contest = Contest::default();
    contest.add("ours", ours::call_literal(fails));
    contest.add("limit", limit::call_literal(fails));
    contest.add("prometheus", prometheus::call_literal(fails));
    contest.add(HELD, prometheus::call_held(fails));
    contest.add("bare", bare::call_literal(fails));
    contest
}

fn by_path(fails: bool) -> Contest {
    let mut contest = Contest::default();
    let peers: [&dyn Peer; 3] = [&Ours, &Limit, &Prometheus];
    for peer in peers {
        contest.add(peer.name(), peer.call(paths(10), fails));
    }
    contest.add("bare", bare::call(paths(10), fails));
    contest
}

fn judge(id: &str, figures: &Figures, report: &mut Report) {
    report.judge(id, figures.ratio("ours", "limit"));
    report.fact(format!("{id}_in_all_rounds"), figures.ratio_of_all_rounds("ours", "limit"));
    report.judge(&format!("{id}_over_prometheus"), figures.ratio("ours", "prometheus"));
    report.fact(format!("{id}_ns"), figures.median("ours"));
    report.fact(format!("{id}_bare_over_limit"), figures.ratio("bare", "limit"));
}

fn row(what: &str, figures: &Figures) -> Vec<String> {
    let times = COLUMNS.map(|name| if figures.has(name) { figure(figures.median(name)) } else { "-".to_owned() });
    let ratio =
        |reference| if figures.has(reference) { figure(figures.ratio("ours", reference)) } else { "-".to_owned() };
    let ratios = ["limit", "prometheus", HELD].map(ratio);
    [what.to_owned()].into_iter().chain(times).chain(ratios).collect()
}

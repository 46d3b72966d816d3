//! Counters that are looked up by label values created at run time.

use crate::labels::{paths, three};
use crate::measure::{Contest, Figures, Operation, Running};
use crate::peers::Peer;
use crate::peers::ours::Ours;
use crate::peers::prometheus::Prometheus;
use crate::report::{Report, figure};
use crate::rows::AllAlong;

/// Lookups by one label and by three labels.
pub(crate) struct Lookups(Running<2>);

impl Lookups {
    pub(crate) fn begin() -> Box<dyn AllAlong> {
        let by_path = contest(|peer| peer.counter_by_one(paths(10)));
        let by_three = contest(|peer| peer.counter_by_three(three()));
        Box::new(Self(Running::new([by_path, by_three])))
    }
}

impl AllAlong for Lookups {
    fn sit(&mut self, rounds: usize) {
        self.0.sit(rounds);
    }

    fn finish(self: Box<Self>, report: &mut Report) {
        let [by_path, by_three] = self.0.finish();
        let rows = [
            judge("10 values of 1 label", "counter_10_values", &by_path, report),
            judge("120 sets of 3 labels", "counter_3_labels", &by_three, report),
        ];
        report.table("Counter looked up", &["labels", "ours ns", "`prometheus` ns", "ratio"], &rows);
    }
}

fn contest(make: impl Fn(&dyn Peer) -> Option<Operation>) -> Contest {
    let mut contest = Contest::default();
    contest.extend("ours", make(&Ours));
    contest.extend("prometheus", make(&Prometheus));
    contest
}

fn judge(what: &str, id: &str, figures: &Figures, report: &mut Report) -> Vec<String> {
    let ratio = figures.ratio("ours", "prometheus");
    report.judge(id, ratio);
    vec![what.to_owned(), figure(figures.median("ours")), figure(figures.median("prometheus")), figure(ratio)]
}

//! Instrumented calls on two threads that record to the same series.

use crate::labels::paths;
use crate::measure::{Operation, median};
use crate::peers::Peer;
use crate::peers::limit::{self, Limit};
use crate::peers::ours::{self, Ours};
use crate::peers::prometheus::{self, Prometheus};
use crate::report::{Report, figure};
use crate::rows::AllAlong;
use crate::threads::{Entrant, Race};

const HELD: &str = "prometheus, handles held";
const OF_SELF: &str = "ours, families of `self`";

/// A race in which each call runs both on one thread and on two threads.
pub(crate) struct TwoThreads {
    race: Race,
    /// The kind of each call and the names of its contestants.
    calls: [(&'static str, Vec<&'static str>); 2],
}

impl TwoThreads {
    pub(crate) fn begin() -> Box<dyn AllAlong> {
        let literal: Vec<(&str, Operation)> = vec![
            ("ours", ours::call_literal(false)),
            ("limit", limit::call_literal(false)),
            ("prometheus", prometheus::call_literal(false)),
            (HELD, prometheus::call_held(false)),
            (OF_SELF, ours::call_of_self(false)),
        ];
        let path = [&Ours as &dyn Peer, &Limit, &Prometheus].map(|peer| (peer.name(), peer.call(paths(1), false)));
        let calls = [("literal", literal), ("path", path.into())];
        let entrants = calls
            .iter()
            .flat_map(|(what, operations)| operations.iter().map(move |operation| (what, operation)))
            .flat_map(|(what, (name, operation))| {
                [1, 2].map(|threads| Entrant::new(format!("{what}: {name} {threads}"), operation, threads))
            })
            .collect();
        let calls = calls.map(|(what, operations)| (what, operations.into_iter().map(|(name, _)| name).collect()));
        Box::new(Self { race: Race::new(entrants), calls })
    }
}

impl AllAlong for TwoThreads {
    fn sit(&mut self, rounds: usize) {
        self.race.sit(rounds);
    }

    fn finish(self: Box<Self>, report: &mut Report) {
        let rates = self.race.finish();
        let mut rows = Vec::new();
        for (what, names) in self.calls {
            let factors = |name: &str| {
                let [one, two] = [1, 2].map(|threads| rates.rounds(&format!("{what}: {name} {threads}")));
                one.iter().zip(two).map(|(one, two)| two / one).collect::<Vec<_>>()
            };
            let over = |name: &str| rates.ratio(&format!("{what}: ours 2"), &format!("{what}: {name} 2"));
            let shares = factors("ours").into_iter().zip(factors("limit")).map(|(ours, limit)| ours / limit);
            report.judge(&format!("threads_{what}"), median(shares.collect()));
            report.judge(&format!("threads_{what}_over_prometheus"), over("prometheus"));
            for name in names {
                report.fact(format!("threads_{what}_over_{}", name.replace([' ', ',', '`'], "")), over(name));
                let rate = |threads| figure(rates.median(&format!("{what}: {name} {threads}")) / 1e6);
                rows.push(vec![format!("{what}: {name}"), rate(1), rate(2), figure(median(factors(name)))]);
            }
        }
        let columns = ["call", "1 thread, M/s", "2 threads, M/s", "factor"];
        report.table("Calls on threads that record to one series", &columns, &rows);
    }
}

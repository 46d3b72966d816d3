//! Instrumented calls of two threads that feed the same series.

use anyhow::Result;

use crate::labels::paths;
use crate::measure::{Sittings, median};
use crate::peers::Peer;
use crate::peers::limit::{self, Limit};
use crate::peers::ours::{self, Ours};
use crate::peers::prometheus::{self, Prometheus};
use crate::report::{Report, figure};
use crate::threads::{Entrant, rates};

const HELD: &str = "prometheus, handles held";
const OF_SELF: &str = "ours, families of `self`";

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let literal = [
        ("ours", ours::call_literal(false)),
        ("limit", limit::call_literal(false)),
        ("prometheus", prometheus::call_literal(false)),
        (HELD, prometheus::call_held(false)),
        (OF_SELF, ours::call_of_self(false)),
    ];
    let path = [&Ours as &dyn Peer, &Limit, &Prometheus].map(|peer| (peer.name(), peer.call(paths(1), false)));
    let calls = [("literal", literal.as_slice()), ("path", &path)];
    let entrants: Vec<_> = calls
        .iter()
        .flat_map(|(what, operations)| operations.iter().map(move |operation| (what, operation)))
        .flat_map(|(what, (name, operation))| {
            [1, 2].map(|threads| Entrant::new(format!("{what}: {name} {threads}"), operation, threads))
        })
        .collect();
    let rates = rates(&entrants, rounds, Sittings::MANY);

    let mut rows = Vec::new();
    for (what, operations) in calls {
        let factors = |name: &str| {
            let [one, two] = [1, 2].map(|threads| rates.rounds(&format!("{what}: {name} {threads}")));
            one.iter().zip(two).map(|(one, two)| two / one).collect::<Vec<_>>()
        };
        let over = |name: &str| rates.ratio(&format!("{what}: ours 2"), &format!("{what}: {name} 2"));
        let shares = factors("ours").into_iter().zip(factors("limit")).map(|(ours, limit)| ours / limit);
        report.judge(&format!("threads_{what}"), median(shares.collect()));
        report.judge(&format!("threads_{what}_over_prometheus"), over("prometheus"));
        for (name, _) in operations {
            report.fact(format!("threads_{what}_over_{}", name.replace([' ', ',', '`'], "")), over(name));
            let rate = |threads| figure(rates.median(&format!("{what}: {name} {threads}")) / 1e6);
            rows.push(vec![format!("{what}: {name}"), rate(1), rate(2), figure(median(factors(name)))]);
        }
    }
    let columns = ["call", "1 thread, M/s", "2 threads, M/s", "factor"];
    report.table("Calls of threads that feed one series", &columns, &rows);
    Ok(())
}

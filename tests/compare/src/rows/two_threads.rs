//! Instrumented calls of two threads that feed the same series.

use anyhow::Result;

use crate::labels::paths;
use crate::measure::{Operation, median};
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
    let rows = [compare("literal", &literal, rounds, report), compare("path", &path, rounds, report)].concat();
    report.table(
        "Calls of threads that feed one series",
        &["call", "1 thread, M/s", "2 threads, M/s", "factor"],
        &rows,
    );
    Ok(())
}

fn compare(what: &str, operations: &[(&str, Operation)], rounds: usize, report: &mut Report) -> Vec<Vec<String>> {
    let entrants: Vec<_> = [1, 2]
        .into_iter()
        .flat_map(|threads| {
            operations.iter().map(move |(name, run)| Entrant::new(format!("{name} {threads}"), run, threads))
        })
        .collect();
    let rates = rates(&entrants, rounds);

    let factors = |name: &str| {
        let [one, two] = [1, 2].map(|threads| rates.rounds(&format!("{name} {threads}")));
        one.iter().zip(two).map(|(one, two)| two / one).collect::<Vec<_>>()
    };
    let shares = factors("ours").into_iter().zip(factors("limit")).map(|(ours, limit)| ours / limit);
    report.judge(&format!("threads_{what}"), median(shares.collect()));
    report.judge(&format!("threads_{what}_over_prometheus"), rates.ratio("ours 2", "prometheus 2"));

    let row = |name: &str| {
        let [one, two] = [1, 2].map(|threads| figure(rates.median(&format!("{name} {threads}")) / 1e6));
        vec![format!("{what}: {name}"), one, two, figure(median(factors(name)))]
    };
    for (name, _) in operations {
        let ratio = rates.ratio("ours 2", &format!("{name} 2"));
        report.fact(format!("threads_{what}_over_{}", name.replace([' ', ',', '`'], "")), ratio);
    }
    operations.iter().map(|(name, _)| row(name)).collect()
}

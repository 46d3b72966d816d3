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

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    // The best idiom of each: where the label is known beforehand, by hand one holds the handles.
    let literal = [ours::call_literal(false), limit::call_literal(false), prometheus::call_held(false)];
    let path = [&Ours as &dyn Peer, &Limit, &Prometheus].map(|peer| peer.call(paths(1), false));
    let rows = [compare("literal", &literal, rounds, report), compare("path", &path, rounds, report)].concat();
    report.table(
        "Calls of threads that feed one series",
        &["call", "1 thread, M/s", "2 threads, M/s", "factor"],
        &rows,
    );
    Ok(())
}

fn compare(what: &str, operations: &[Operation; 3], rounds: usize, report: &mut Report) -> Vec<Vec<String>> {
    const NAMES: [&str; 3] = ["ours", "limit", "prometheus"];
    let entrants: Vec<_> = [1, 2]
        .into_iter()
        .flat_map(|threads| {
            let entrant = move |(name, operation)| Entrant::new(format!("{name} {threads}"), operation, threads);
            NAMES.into_iter().zip(operations).map(entrant)
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
    NAMES.into_iter().map(row).collect()
}

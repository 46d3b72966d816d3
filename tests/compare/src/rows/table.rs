//! All peers, each with the operations that it supports.

use anyhow::Result;

use crate::labels::{paths, three};
use crate::measure::{Contest, Operation};
use crate::peers;
use crate::peers::Peer;
use crate::report::{Report, figure};

/// A column of the table.
struct Column {
    id: &'static str,
    title: &'static str,
    make: fn(&dyn Peer) -> Option<Operation>,
}

const COLUMNS: [Column; 7] = [
    Column { id: "counter", title: "counter held", make: |peer| peer.counter() },
    Column { id: "counter_10", title: "1 label of 10", make: |peer| peer.counter_by_one(paths(10)) },
    Column { id: "counter_10k", title: "1 label of 10k", make: |peer| peer.counter_by_one(paths(10_000)) },
    Column { id: "counter_3", title: "3 labels", make: |peer| peer.counter_by_three(three()) },
    Column { id: "observation", title: "histogram held", make: |peer| peer.observation() },
    Column { id: "call_ok", title: "call, `Ok`", make: |peer| Some(peer.call(paths(10), false)) },
    Column { id: "call_err", title: "call, `Err`", make: |peer| Some(peer.call(paths(10), true)) },
];

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let peers = peers::all();
    let mut rows: Vec<_> = peers.iter().map(|peer| vec![peer.name().to_owned()]).collect();
    for Column { id, make, .. } in COLUMNS {
        let mut contest = Contest::default();
        for peer in peers {
            contest.extend(peer.name(), make(peer));
        }
        let figures = contest.run(rounds);
        for (row, peer) in rows.iter_mut().zip(peers) {
            if !figures.has(peer.name()) {
                row.push("-".to_owned());
                continue;
            }
            let ratio = figures.ratio(peer.name(), "ours");
            report.fact(format!("peers_{id}_{}_over_ours", peer.name()), ratio);
            row.push(format!("{} ({})", figure(figures.median(peer.name())), figure(ratio)));
        }
    }
    let titles: Vec<_> = ["who"].into_iter().chain(COLUMNS.map(|column| column.title)).collect();
    report.table("All peers, one thread: ns (over ours)", &titles, &rows);
    Ok(())
}

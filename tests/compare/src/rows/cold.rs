//! A new thread's first use of metrics: spawn the thread, count once, make one call, and join the thread.
//!
//! As in most services, a new thread reuses the cells of a thread that has ended.

use std::sync::Arc;
use std::thread;

use anyhow::Result;

use crate::labels::paths;
use crate::measure::{Contest, Operation, operation};
use crate::peers::Peer;
use crate::peers::ours::Ours;
use crate::peers::prometheus::Prometheus;
use crate::report::{Report, figure};

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let mut contest = Contest::default();
    contest.add("nothing", operation(|_| thread::spawn(|| ()).join()));
    let peers: [&dyn Peer; 2] = [&Ours, &Prometheus];
    for peer in peers {
        contest.extend(peer.name(), first_use(peer));
    }
    let figures = contest.run(rounds);
    let row = |name: &str| {
        let more = figures.median(name) - figures.median("nothing");
        vec![name.to_owned(), figure(figures.median(name) / 1e3), figure(more / 1e3)]
    };
    let rows: Vec<_> = figures.names().map(row).collect();
    report.fact("cold_thread_over_nothing", figures.ratio("ours", "nothing"));
    report.table(
        "A new thread's first count and call, after other threads have ended",
        &["what it does", "µs", "more µs"],
        &rows,
    );
    Ok(())
}

fn first_use(peer: &dyn Peer) -> Option<Operation> {
    let counter = Arc::new(peer.counter()?);
    let call = Arc::new(peer.call(paths(10), false));
    Some(operation(move |number| {
        let (counter, call) = (Arc::clone(&counter), Arc::clone(&call));
        let thread = thread::spawn(move || {
            counter(number..number + 1);
            call(number..number + 1);
        });
        thread.join()
    }))
}

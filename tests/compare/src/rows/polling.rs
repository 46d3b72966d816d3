//! An instrumented `async` function compared with the same function without `async`; both are polled once.

use anyhow::Result;

use crate::measure::Contest;
use crate::peers::ours;
use crate::report::{Report, figure};

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let mut contest = Contest::default();
    contest.add("sync", ours::polled(false));
    contest.add("async", ours::polled(true));
    contest.add("sync, not instrumented", ours::polled_bare(false));
    contest.add("async, not instrumented", ours::polled_bare(true));
    let figures = contest.run(rounds);

    report.judge("async_over_sync", figures.ratio("async", "sync"));
    let bare = figures.ratio("async, not instrumented", "sync, not instrumented");
    report.fact("async_over_sync_not_instrumented", bare);
    let row = |name: &str, reference: &str| {
        vec![name.to_owned(), figure(figures.median(name)), figure(figures.ratio(name, reference))]
    };
    let rows = [
        row("sync", "sync"),
        row("async", "sync"),
        row("sync, not instrumented", "sync, not instrumented"),
        row("async, not instrumented", "sync, not instrumented"),
    ];
    report.table("Literal path, polled once", &["function", "ns", "over sync"], &rows);
    Ok(())
}

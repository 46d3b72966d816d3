//! Resident memory of one series, and of many threads that have touched many series.

use anyhow::Result;

use crate::child::Task;
use crate::peers;
use crate::report::{Report, figure};

const SERIES: usize = 1_000_000;
const THREADS: usize = 512;

pub(crate) fn run(_: usize, report: &mut Report) -> Result<()> {
    if !cfg!(target_os = "linux") {
        eprintln!("memory is measured on Linux only");
        return Ok(());
    }
    series(report)?;
    threads(report)
}

fn series(report: &mut Report) -> Result<()> {
    let mut bytes = Vec::new();
    for peer in peers::all().into_iter().filter(|peer| peer.exposition(1).is_some()) {
        let task = Task::Series { peer: peer.name().to_owned(), series: SERIES };
        bytes.push((peer.name(), task.run()?));
    }
    let of = |name: &str| bytes.iter().find(|(peer, _)| *peer == name).map_or(f64::NAN, |(_, bytes)| *bytes);
    report.judge("memory_per_series", of("ours") / of("prometheus-client"));
    let rows: Vec<_> = bytes
        .iter()
        .map(|(name, bytes)| vec![(*name).to_owned(), figure(*bytes), figure(bytes / of("prometheus-client"))])
        .collect();
    report.table(
        "Memory of 1M counters, 1 label, written by one thread",
        &["who", "bytes per series", "over `prometheus-client`"],
        &rows,
    );
    for (name, bytes) in bytes {
        report.fact(format!("memory_per_series_bytes_{name}"), bytes);
    }
    Ok(())
}

fn threads(report: &mut Report) -> Result<()> {
    let mut rows = Vec::new();
    let mut totals = Vec::new();
    for name in ["ours", "prometheus"] {
        let [few, many] = [1, THREADS].map(|threads| Task::Threads { peer: name.to_owned(), threads }.run());
        let [few, many] = [few? / 1024.0 / 1024.0, many? / 1024.0 / 1024.0];
        report.fact(format!("memory_{THREADS}_threads_mib_{name}"), many);
        rows.push(vec![name.to_owned(), figure(few), figure(many)]);
        totals.push(many);
    }
    report.judge("memory_512_threads", totals[0] / totals[1]);
    report.table(
        "Memory of 2,000 series with count and sum, each touched by every thread",
        &["who", "1 thread, MiB", "512 threads, MiB"],
        &rows,
    );
    Ok(())
}

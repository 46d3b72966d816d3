//! The cost of calls while a background thread pushes to Graphite.

use std::io;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use metrics_core::{Counter, GraphiteBridge, Registry};

use crate::labels::{path, paths};
use crate::measure::{Operation, count_for, median};
use crate::peers::Peer;
use crate::peers::ours::Ours;
use crate::report::{Report, figure};
use crate::threads::bind_to_core;

/// Number of pushed series, not counting those of the measured calls.
const SERIES: usize = 10_000;
/// The push interval, a tenth of the usual interval.
const INTERVAL: Duration = Duration::from_secs(1);
/// Number of threads that make calls. They occupy both cores and thus compete with the pushing thread.
const THREADS: usize = 2;
/// Rounds per pair of windows. Each window lasts one interval, and only one window of a pair includes pushes.
const ROUNDS_A_PAIR: usize = 3;

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let family = Counter::builder("pushed_total", "Sent to Graphite.").labels(["path"]).max_series(SERIES);
    let family = family.register();
    (0..SERIES).for_each(|at| family.labels([&path(at)]).inc());
    let bridge = GraphiteBridge::new(sink()?).registry(Registry::global());
    let start = Instant::now();
    bridge.push()?;
    let push = start.elapsed();

    let calls = Ours.call(paths(10), false);
    let mut ratios = Vec::new();
    for pair in 0..rounds.div_ceil(ROUNDS_A_PAIR) {
        let with = || -> Result<f64> {
            let pusher = bridge.start(INTERVAL)?;
            let rate = rate(&calls);
            pusher.shutdown()?;
            Ok(rate)
        };
        // Alternate the order.
        let (with, without) = if pair % 2 == 0 {
            let with = with()?;
            (with, rate(&calls))
        } else {
            let without = rate(&calls);
            (with()?, without)
        };
        ratios.push(without / with);
    }
    let ratio = median(ratios);
    report.fact("push_calls_over_none", ratio);
    report.fact("push_ms", push.as_secs_f64() * 1e3);
    let row = vec![figure(push.as_secs_f64() * 1e3), format!("{ratio:.4}")];
    report.table(
        "Calls by path on both cores while 10k series are pushed to Graphite every second",
        &["one push, ms", "time of calls over that without pushes"],
        &[row],
    );
    Ok(())
}

/// Starts a server that discards everything it receives, and returns its address.
fn sink() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            io::copy(&mut connection, &mut io::sink()).ok();
        }
    });
    Ok(address)
}

/// Returns the total calls per second across all threads, measured over one interval.
fn rate(calls: &Operation) -> f64 {
    let batch = count_for(calls, Duration::from_micros(100));
    thread::scope(|scope| {
        let count = |worker: usize| {
            bind_to_core(worker);
            let (start, mut count) = (Instant::now(), 0);
            while start.elapsed() < INTERVAL {
                calls(count..count + batch);
                count += batch;
            }
            count as f64 / start.elapsed().as_secs_f64()
        };
        let workers: Vec<_> = (0..THREADS).map(|worker| scope.spawn(move || count(worker))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or(f64::NAN)).sum()
    })
}

//! Totals are exact even if there are more threads than per-thread cells.

use std::sync::Barrier;
use std::thread;

use metrics_core::{Counter, Format, Histogram, Registry, Summary, instrument, limit_thread_local_cells};

const THREADS: u32 = 12;
const WRITES: u32 = 2_000;

#[instrument(path, prefix = "few")]
fn annotated(path: &str) -> usize {
    path.len()
}

#[test]
fn threads_without_dedicated_cells_lose_nothing() {
    limit_thread_local_cells(2);
    let registry = Registry::new();
    let counter = Counter::builder("few_total", "").labels(["n"]).register_in(&registry).expect("the registry is new");
    let summary = Summary::builder("few_seconds", "").register_in(&registry).expect("the registry is new");
    let histogram = Histogram::builder("few_bytes", "").register_in(&registry).expect("the registry is new");
    // All threads run concurrently, so no thread reuses the cells of a thread that has ended.
    let all = Barrier::new(THREADS as usize + 1);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                all.wait();
                for write in 0..WRITES {
                    counter.labels([["a", "b"][write as usize % 2]]).inc();
                    summary.observe(0.5);
                    histogram.observe(write);
                    annotated("/foo");
                }
                all.wait();
            });
        }
        all.wait();
        let mut text = Vec::new();
        for _ in 0..20 {
            text.clear();
            registry.encode(Format::Text, &mut text);
        }
        all.wait();
    });
    let all = f64::from(THREADS * WRITES);
    assert_eq!(["a", "b"].map(|n| counter.labels([n]).value()), [all / 2.0; 2]);
    assert_eq!((summary.count() as f64, summary.sum()), (all, all / 2.0));
    assert_eq!(histogram.count() as f64, all);
    let line = "few_request_latency_seconds_count{path=\"/foo\"} ";
    let global = Registry::global().to_text();
    let count = global.lines().find_map(|sample| sample.strip_prefix(line)).expect("exported");
    assert_eq!(count, all.to_string());
}

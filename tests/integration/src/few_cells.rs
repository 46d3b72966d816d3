//! Totals are exact even if there are more threads than per-thread cells.

use std::sync::Barrier;
use std::thread;

use metrics_core::testing::Snapshot;
use metrics_core::{Counter, Family, Histogram, Registry, Summary, instrument, limit_thread_local_cells};

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
    let alone = Counter::builder("few_alone_total", "").register_in(&registry).expect("valid");
    let summary = Summary::builder("few_seconds", "").register_in(&registry).expect("the registry is new");
    let histogram = Histogram::builder("few_bytes", "").register_in(&registry).expect("the registry is new");
    let quantiles = Summary::builder("few_quantiles", "").quantiles([0.5]).register_in(&registry).expect("valid");
    let native = Histogram::builder("few_native", "").native().register_in(&registry).expect("valid");
    let churned: Family<Counter, 1> = Counter::builder("few_churned_total", "").labels(["n"]).build();
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
                    quantiles.observe(f64::from(write + 1));
                    native.observe(f64::from(write + 1));
                    annotated("/foo");
                    churned.labels(["gone"]).inc();
                    if write % 100 == 0 {
                        churned.remove(["gone"]);
                    }
                    churned.labels(["stays"]).inc();
                    // 500 label sets exceed the 64 entries of the thread's first-level cache.
                    churned.labels([&(write % 500).to_string()]).inc();
                }
                all.wait();
                // The first snapshot gives the thread dedicated cells.
                let before = Snapshot::of_current_thread(&registry);
                alone.inc();
                Snapshot::of_current_thread(&registry).since(&before).assert("few_alone_total", &[], 1.0);
                alone.inc();
            });
        }
        all.wait();
        let mut last = [0.0; 3];
        for _ in 0..20 {
            let now = Snapshot::of(&registry);
            let counts =
                ["few_seconds_count", "few_bytes_count", "few_quantiles_count"].map(|name| now.value(name, &[]));
            assert!(counts.iter().zip(last).all(|(now, last)| *now >= last), "{last:?} -> {counts:?}");
            assert_eq!(now.value("few_seconds_sum", &[]), counts[0] * 0.5);
            last = counts;
        }
        all.wait();
    });
    let all = f64::from(THREADS * WRITES);
    assert_eq!(["a", "b"].map(|n| counter.labels([n]).value()), [all / 2.0; 2]);
    assert_eq!((summary.count() as f64, summary.sum()), (all, all / 2.0));
    assert_eq!([&histogram, &native].map(|histogram| histogram.count() as f64), [all; 2]);
    assert_eq!((quantiles.count() as f64, quantiles.sum()), (all, native.sum()));
    assert_eq!(churned.labels(["stays"]).value(), all);
    assert_eq!(alone.value(), f64::from(2 * THREADS));
    let numbered: f64 = (0..500).map(|n| churned.labels([&n.to_string()]).value()).sum();
    assert_eq!(numbered, all);
    let line = "few_request_latency_seconds_count{path=\"/foo\"} ";
    let global = Registry::global().to_text();
    let count = global.lines().find_map(|sample| sample.strip_prefix(line)).expect("exported");
    assert_eq!(count, all.to_string());
}

//! Removed series: writes through old handles are dropped, and recreated series start at 0.

use std::future::Future;
use std::task::{Context, Waker};

use metrics_core::{Counter, Gauge, Histogram, Registry, Summary, instrument};

use crate::sample;

#[test]
fn a_handle_of_a_removed_series_writes_nowhere() {
    let family = Counter::builder("ended_total", "").labels(["a"]).build();
    let stale = family.labels(["x"]);
    stale.inc();
    assert!(family.remove(["x"]));
    stale.inc_by(100);
    assert_eq!(stale.value(), 0.0);
    // This series reuses the slot of the removed series.
    let other = family.labels(["y"]);
    stale.inc_by(100);
    other.inc();
    assert_eq!((other.value(), stale.value()), (1.0, 0.0));
    let again = family.labels(["x"]);
    stale.inc_by(100);
    assert_eq!(again.value(), 0.0);
}

#[test]
fn slots_are_reused_by_all_types() {
    let counters = Counter::builder("places_total", "").labels(["a"]).build();
    let gauges = Gauge::builder("places", "").labels(["a"]).build();
    let summaries = Summary::builder("places_seconds", "").labels(["a"]).build();
    let histograms = Histogram::builder("places_bytes", "").labels(["a"]).buckets([1.0]).build();
    let mut stale = Vec::new();
    for round in 0..1_000 {
        let (counter, gauge) = (counters.labels(["x"]), gauges.labels(["x"]));
        let (summary, histogram) = (summaries.labels(["x"]), histograms.labels(["x"]));
        assert_eq!((counter.value(), gauge.value(), summary.count(), histogram.count()), (0.0, 0.0, 0, 0), "{round}");
        counter.inc();
        gauge.inc();
        summary.observe(1);
        histogram.observe(1);
        assert_eq!((counter.value(), gauge.value(), summary.count(), histogram.count()), (1.0, 1.0, 1, 1), "{round}");
        stale.push((counter, gauge, summary, histogram));
        for (counter, gauge, summary, histogram) in stale.iter().rev().skip(1).take(3) {
            counter.inc();
            gauge.set(9);
            summary.observe(9);
            histogram.observe(9);
        }
        counters.clear();
        gauges.remove(["x"]);
        summaries.remove(["x"]);
        histograms.remove(["x"]);
    }
}

#[test]
fn annotated_functions_recreate_a_removed_series() {
    lazy_static::lazy_static! {
        static ref LATENCY: metrics_core::Family<Summary, 1> =
            Summary::builder("renewed_seconds", "").labels(["path"]).register();
    }
    #[instrument("/fixed", latency = LATENCY, prefix = "renewed")]
    fn fixed() {}
    #[instrument(path, latency = LATENCY, prefix = "renewed")]
    fn variable(path: &str) -> usize {
        path.len()
    }
    for _ in 0..3 {
        fixed();
        variable("/variable");
    }
    assert_eq!(sample("renewed_seconds_count{path=\"/fixed\"}"), Some(3.0));
    assert_eq!(sample("renewed_seconds_count{path=\"/variable\"}"), Some(3.0));
    LATENCY.clear();
    assert_eq!(sample("renewed_seconds_count{path=\"/fixed\"}"), None);
    fixed();
    variable("/variable");
    assert_eq!(sample("renewed_seconds_count{path=\"/fixed\"}"), Some(1.0));
    assert_eq!(sample("renewed_seconds_count{path=\"/variable\"}"), Some(1.0));
}

#[test]
fn the_order_of_creation_outlives_removals() {
    let registry = Registry::new();
    let family = Counter::builder("ordered_total", "").labels(["n"]).register_in(&registry).expect("a valid family");
    for n in 0..500 {
        family.labels([&n.to_string()]);
    }
    for n in (0..500).filter(|n| n % 7 != 0) {
        family.remove([&n.to_string()]);
    }
    family.labels(["3"]);
    let order: Vec<String> = family.iter().map(|([n], _)| n).collect();
    let expected: Vec<String> = (0..500).step_by(7).chain([3]).map(|n| n.to_string()).collect();
    assert_eq!(order, expected);
    let lines = registry.to_text().lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(lines, expected.len());
}

#[test]
fn a_dropped_family_frees_its_slots() {
    let first = Counter::builder("dropped_total", "").labels(["a"]).build();
    let stale = first.labels(["x"]);
    drop(first);
    let second = Counter::builder("second_total", "").labels(["a"]).build();
    let fresh = second.labels(["x"]);
    stale.inc_by(100);
    assert_eq!((stale.value(), fresh.value()), (0.0, 0.0));
}

#[test]
fn a_series_can_be_removed_while_a_call_is_running() {
    lazy_static::lazy_static! {
        static ref LATENCY: metrics_core::Family<Summary, 1> =
            Summary::builder("midway_seconds", "").labels(["path"]).register();
    }
    let count = |path: &str| LATENCY.get([path]).map(|summary| summary.count());
    let remove = |path: &str| assert!(LATENCY.remove([path]));

    #[instrument("/literal", latency = LATENCY)]
    fn literal(during: impl FnOnce()) {
        during();
    }
    literal(|| ());
    literal(|| remove("/literal"));
    // The call has found the series that replaces the removed one.
    assert_eq!(count("/literal"), Some(1));
    literal(|| ());
    assert_eq!(count("/literal"), Some(2));

    #[instrument("/async", latency = LATENCY)]
    async fn asynchronous(during: impl FnOnce()) {
        during();
        std::future::pending::<()>().await;
    }
    let poll = |during: fn()| {
        let mut future = Box::pin(asynchronous(during));
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    };
    poll(|| ());
    assert_eq!(count("/async"), Some(1));
    // So has a canceled call.
    poll(|| assert!(LATENCY.remove(["/async"])));
    assert_eq!(count("/async"), Some(1));

    #[instrument(path, latency = LATENCY)]
    fn by_path(path: &str, during: impl FnOnce()) {
        during();
    }
    by_path("/path", || ());
    by_path("/path", || remove("/path"));
    assert_eq!(count("/path"), None);
    by_path("/path", || ());
    assert_eq!(count("/path"), Some(1));
}

//! The `testing` module, which helps users test their metrics.

use std::panic::catch_unwind;
use std::thread;

use metrics_core::testing::Snapshot;
use metrics_core::{Counter, Gauge, Histogram, Registry, instrument};

fn message(f: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let payload = catch_unwind(f).expect_err("it fails");
    payload.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn differences_are_those_of_the_samples() {
    let registry = Registry::new();
    let jobs = Counter::builder("jobs_total", "").labels(["queue", "kind"]).register_in(&registry).expect("valid");
    let sizes = Histogram::builder("sizes", "").buckets([1.0, 2.5]).register_in(&registry).expect("valid");
    jobs.labels(["a", "b"]).inc();
    let before = Snapshot::of(&registry);
    jobs.labels(["a", "b"]).inc_by(2);
    jobs.labels(["x", "y"]).inc();
    sizes.observe(2);
    let after = Snapshot::of(&registry);
    after.assert("jobs_total", &[("kind", "b"), ("queue", "a")], 3.0);
    assert_eq!(after.get("jobs_total", &[("kind", "b")]), None);
    let change = after.since(&before);
    change.assert("jobs_total", &[("queue", "a"), ("kind", "b")], 2.0);
    change.assert("jobs_total", &[("queue", "x"), ("kind", "y")], 1.0);
    change.assert("sizes_bucket", &[("le", "1")], 0.0);
    change.assert("sizes_bucket", &[("le", "+Inf")], 1.0);
    assert_eq!(change.value("sizes_sum", &[]), 2.0);
    let shown = "jobs_total{kind=\"b\",queue=\"a\"} +2\njobs_total{kind=\"y\",queue=\"x\"} +1\n\
        sizes_bucket{le=\"+Inf\"} +1\nsizes_bucket{le=\"2.5\"} +1\nsizes_count +1\nsizes_sum +2\n";
    assert_eq!(change.to_string(), shown);
}

#[test]
fn a_missing_sample_fails_and_lists_existing_ones() {
    let registry = Registry::new();
    Counter::builder("jobs_total", "").labels(["queue"]).register_in(&registry).expect("valid").labels(["a"]).inc();
    let snapshot = Snapshot::of(&registry);
    let same = snapshot.clone();
    let said = message(move || same.assert("job_total", &[("queue", "a")], 1.0));
    assert_eq!(said, "there is no sample job_total; existing samples:\n  jobs_total");
    let same = snapshot.clone();
    let said = message(move || same.assert("jobs_total", &[("queu", "a")], 0.0));
    assert_eq!(said, "there is no sample jobs_total{queu=\"a\"}; existing samples:\n  jobs_total{queue=\"a\"}");
    let said = message(move || snapshot.assert("jobs_total", &[("queue", "a")], 2.0));
    assert_eq!(said, "jobs_total{queue=\"a\"}\n  is:       1\n  expected: 2");
}

#[test]
fn bounds_are_written_as_in_the_exposition() {
    let registry = Registry::new();
    let sizes = Histogram::builder("sizes", "").buckets([1e-6, 0.5, 1e16]).register_in(&registry).expect("valid");
    sizes.observe(0);
    let (snapshot, text) = (Snapshot::of(&registry), registry.to_text());
    let bounds: Vec<&str> = text.lines().filter_map(|line| line.split('"').nth(1)).collect();
    assert_eq!(bounds.len(), 4, "{text}");
    for bound in bounds {
        snapshot.assert("sizes_bucket", &[("le", bound)], 1.0);
    }
}

#[test]
fn equal_values_have_not_changed() {
    let registry = Registry::new();
    let gauge = Gauge::builder("level", "").labels(["of"]).register_in(&registry).expect("valid");
    for value in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1.0] {
        gauge.labels([&value.to_string()]).set(value);
    }
    let change = Snapshot::of(&registry).since(&Snapshot::of(&registry));
    assert_eq!(change.to_string(), "");
    change.assert("level", &[("of", "inf")], 0.0);
}

/// An annotated function that several threads call, as parallel tests would.
#[instrument("/shared", prefix = "shared")]
fn shared() -> Result<(), ()> {
    Err(())
}

#[test]
fn snapshots_of_a_thread_contain_what_the_thread_has_recorded() {
    let sizes = Histogram::builder("shared_sizes", "").buckets([1.0]).register();
    let level = Gauge::builder("shared_level", "").register();
    let test = &|calls: u32| {
        for _ in 0..3 {
            let before = Snapshot::of_current_thread(Registry::global());
            for _ in 0..calls {
                shared().expect_err("it fails");
                sizes.observe(calls);
            }
            let change = Snapshot::of_current_thread(Registry::global()).since(&before);
            change.assert("shared_request_latency_seconds_count", &[("path", "/shared")], f64::from(calls));
            change.assert("shared_request_exceptions_total", &[("path", "/shared")], f64::from(calls));
            change.assert("shared_sizes_sum", &[], f64::from(calls * calls));
            change.assert("shared_sizes_bucket", &[("le", "+Inf")], f64::from(calls));
        }
    };
    // Later threads reuse the cells of earlier threads.
    for _ in 0..4 {
        thread::scope(|scope| {
            for calls in [0, 1, 10, 100] {
                scope.spawn(move || test(calls));
            }
        });
    }
    level.set(7);
    Snapshot::of_current_thread(Registry::global()).assert("shared_level", &[], 7.0);
    let wrong = "shared_level\n  is:       7\n  expected: 8";
    let said = message(|| Snapshot::of_current_thread(Registry::global()).assert("shared_level", &[], 8.0));
    assert_eq!(said, wrong);
    // If other tests may have caused the failure, the message recommends `Snapshot::of_current_thread`.
    let said = message(|| Snapshot::of(Registry::global()).assert("shared_level", &[], 8.0));
    assert!(said.starts_with(&format!("{wrong}\n")) && said.contains("`Snapshot::of_current_thread`"), "{said}");
    let all = Snapshot::of(Registry::global());
    all.assert("shared_request_exceptions_total", &[("path", "/shared")], f64::from(4 * 3 * 111));
}

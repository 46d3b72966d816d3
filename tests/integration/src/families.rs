//! Families distinguish label sets, even if their values contain delimiters.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use metrics_core::{Counter, Family, Gauge, Registry, Summary, instrument};

#[test]
fn label_sets_with_equal_concatenations_are_two_series() {
    let family = Counter::builder("pairs_total", "").labels(["a", "b"]).build();
    family.labels(["ab", "c"]).inc();
    family.labels(["a", "bc"]).inc_by(2);
    family.labels(["", "abc"]).inc_by(3);
    family.labels(["abc", ""]).inc_by(4);
    // The first label value contains `",b="`, which separates two label values in the exposition format.
    family.labels(["a\",b=\"b", "c"]).inc_by(5);
    let values: Vec<_> = family.iter().map(|(labels, counter)| (labels, counter.value())).collect();
    let set = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
    assert_eq!(
        values,
        [
            (set("ab", "c"), 1.0),
            (set("a", "bc"), 2.0),
            (set("", "abc"), 3.0),
            (set("abc", ""), 4.0),
            (set("a\",b=\"b", "c"), 5.0),
        ]
    );
}

#[test]
fn a_million_sets_are_a_million_series() {
    let family = Counter::builder("million_total", "").labels(["n"]).max_series(2_000_000).build();
    for n in 0..1_000_000_u32 {
        family.labels([&n.to_string()]).inc_by(n);
    }
    assert_eq!(family.len(), 1_000_000);
    for n in [0_u32, 1, 65_535, 65_536, 999_999] {
        assert_eq!(family.get([&n.to_string()]).map(|counter| counter.value()), Some(f64::from(n)));
    }
}

// Not registered, because 20,000 series would slow down all tests that read the global registry.
static LATENCY: LazyLock<Family<Summary, 1>> =
    LazyLock::new(|| Summary::builder("uncached_seconds", "").labels(["path"]).max_series(30_000).build());
static EXCEPTIONS: LazyLock<Family<Counter, 1>> =
    LazyLock::new(|| Counter::builder("uncached_exceptions_total", "").labels(["path"]).max_series(30_000).build());

#[instrument(path, latency = LATENCY, exceptions = EXCEPTIONS)]
fn uncached(path: &str) {}

#[test]
fn label_sets_that_no_thread_caches_are_counted_and_removed() {
    // A thread caches at most 16,384 label sets of a family or function. Every fifth value is escaped.
    const SETS: u32 = 20_000;
    let value = |n: u32| if n.is_multiple_of(5) { format!("\"{n}\\") } else { n.to_string() };
    let family = Counter::builder("uncached_total", "").labels(["n"]).max_series(SETS as usize).build();
    for _ in 0..3 {
        for n in 0..SETS {
            family.labels([&value(n)]).inc();
            uncached(&value(n));
        }
    }
    for n in (0..SETS).step_by(3) {
        assert!(family.remove([&value(n)]));
    }
    for n in 0..SETS {
        family.labels([&value(n)]).inc();
        let expected = if n.is_multiple_of(3) { 1.0 } else { 4.0 };
        assert_eq!(family.get([&value(n)]).map(|counter| counter.value()), Some(expected), "{n}");
    }
    assert_eq!(family.len(), SETS as usize);
    assert!(LATENCY.iter().all(|(_, summary)| summary.count() == 3));
    assert_eq!((LATENCY.len(), EXCEPTIONS.len()), (SETS as usize, SETS as usize));
}

#[test]
fn reading_creates_nothing() {
    let family = Gauge::builder("read_only", "").labels(["a"]).build();
    assert!(family.get(["x"]).is_none());
    assert!(!family.remove(["x"]));
    assert!(family.is_empty());
    family.labels(["x"]);
    assert_eq!(family.len(), 1);
    assert_eq!(family.get(["x"]).map(|gauge| gauge.value()), Some(0.0));
}

#[test]
fn a_labeled_family_exports_its_series_only() {
    let registry = Registry::new();
    let family = Counter::builder("children_total", "Of a family.")
        .labels(["a"])
        .register_in(&registry)
        .expect("a valid family");
    assert_eq!(registry.to_text(), "");
    family.labels(["x"]);
    let expected = "# HELP children_total Of a family.\n# TYPE children_total counter\nchildren_total{a=\"x\"} 0\n";
    assert_eq!(registry.to_text(), expected);
}

#[test]
fn exceptions_and_panics_are_counted_and_propagated() {
    let counter = Counter::builder("caught_total", "").build();
    assert_eq!(counter.count_exceptions(|| Ok::<_, ()>(1)), Ok(1));
    assert_eq!(counter.count_exceptions(|| Err::<(), _>("no")), Err("no"));
    assert_eq!(counter.value(), 1.0);
    let payload = catch_unwind(AssertUnwindSafe(|| counter.count_panics(|| std::panic::panic_any(7))));
    assert_eq!(payload.map_err(|payload| payload.downcast_ref::<i32>().copied()), Err(Some(7)));
    assert_eq!(counter.value(), 2.0);
    let payload = catch_unwind(AssertUnwindSafe(|| {
        counter.count_exceptions(|| -> Result<(), ()> { std::panic::panic_any("gone") })
    }));
    assert!(payload.is_err());
    assert_eq!(counter.value(), 3.0);
}

#[tokio::test]
async fn exceptions_of_futures_are_counted() {
    let counter = Counter::builder("future_exceptions_total", "").build();
    assert_eq!(counter.count_exceptions_future(async { Ok::<_, ()>(1) }).await, Ok(1));
    assert_eq!(counter.count_exceptions_future(async { Err::<(), _>(2) }).await, Err(2));
    assert_eq!(counter.value(), 1.0);
    let panicking = counter.count_exceptions_future(async {
        tokio::task::yield_now().await;
        assert!(std::hint::black_box(false), "panics");
        Ok::<(), ()>(())
    });
    assert!(tokio::spawn(panicking).await.is_err());
    assert_eq!(counter.value(), 2.0);
    drop(counter.count_exceptions_future(std::future::pending::<Result<(), ()>>()));
    assert_eq!(counter.value(), 2.0);
}

#[test]
fn in_flight_returns_after_a_panic() {
    let gauge = Gauge::builder("flying", "").build();
    let outer = gauge.track_in_flight();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _inner = gauge.track_in_flight();
        assert_eq!(gauge.value(), 2.0);
        std::panic::panic_any(());
    }));
    assert!(unwound.is_err());
    assert_eq!(gauge.value(), 1.0);
    drop(outer);
    assert_eq!(gauge.value(), 0.0);
}

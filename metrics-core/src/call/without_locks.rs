//! Tests that a thread takes no locks when it records into series that it has used before: it records while another
//! thread holds every lock.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::declaration::Part;
use super::declaration::label_source::label;
use super::site::Site;
use crate::cell::{access, gauge};
use crate::{Counter, Family, Histogram, Registry, Summary, cache};

static LITERAL: Site = Site::new("without_locks", "literal", &[Part::FixedLabel("path", "/foo")]);
static BY_PATH: Site =
    Site::new("without_locks", "by_path", &[Part::Label("by"), Part::InFlightDefault, Part::Prefix("locks_by_path")]);
static BY_FLAG: Site = Site::new("without_locks", "by_flag", &[Part::Label("flag"), Part::Prefix("locks_by_flag")]);
static BY_RESULT: Site =
    Site::new("without_locks", "by_result", &[Part::Label("by"), Part::ResultLabel("ok"), Part::Prefix("locks_late")]);
static OF_SELF: Site = Site::new(
    "without_locks",
    "of_self",
    &[Part::Label("by"), Part::KindLabel("kind"), Part::LatencyPerCall, Part::Prefix("locks_of_self")],
);

struct Metrics {
    of_self: Family<Summary, 1>,
    counter: Family<Counter, 2>,
    summary: Family<Summary, 1>,
    histogram: Histogram,
    quantiles: Summary,
    native: [Histogram; 3],
}

/// Records into every kind of metric.
fn use_all(metrics: &Metrics) {
    for path in ["/foo", "/bar"] {
        metrics.counter.labels([path, "GET"]).inc();
        metrics.summary.labels([path]).start_timer().stop();
        metrics.histogram.observe(0.5);
        // Includes values in the zero bucket and negative ones.
        for value in [0.0, -0.5, 0.001, 0.5, 3.0] {
            metrics.quantiles.observe(value);
            metrics.native[0].observe(value);
        }
        for bound in (0..512).step_by(60) {
            metrics.native[1].observe(bound);
        }
        // Far from all bounds.
        metrics.native[2].observe(1e12);
        LITERAL.start().finish(false);
        LITERAL.start_async().finish(false);
        LITERAL.start_async().finish(true);
        LITERAL.start_tracked().finish(true);
        BY_PATH.enter().start([label(path)]).finish(true);
        drop(BY_PATH.enter().start([label(path)]));
        BY_PATH.enter().start_tracked([label(path)]).finish(true);
        drop(BY_PATH.enter().start_tracked([label(path)]));
        BY_FLAG.enter().start([label(&true)]).finish(false);
        BY_FLAG.enter().start_tracked([label(&true)]).finish(false);
        BY_RESULT
            .enter()
            .by_result()
            .start([label(path)])
            .finish(super::Ending::new(false, [super::of_result(&true, |ok| *ok)]));
        OF_SELF
            .enter_with()
            .latency::<1, false, _>(&metrics.of_self)
            .by_result()
            .start([label(path)])
            .finish(super::Ending::new(false, []));
    }
}

#[test]
fn a_thread_that_has_seen_its_series_takes_no_lock() {
    let metrics = Metrics {
        of_self: Summary::builder("g_seconds", "").labels(["by"]).build(),
        counter: Counter::builder("a_total", "").labels(["path", "method"]).build(),
        summary: Summary::builder("a_seconds", "").labels(["path"]).build(),
        histogram: Histogram::builder("b_seconds", "").build(),
        quantiles: Summary::builder("c_seconds", "").quantiles([0.5, 0.99]).build(),
        native: [
            Histogram::builder("d_seconds", "").native().build(),
            Histogram::builder("e_seconds", "").native().buckets((1..=512).map(f64::from)).build(),
            Histogram::builder("f_seconds", "").native().build(),
        ],
    };
    thread::scope(|scope| {
        let (warm, is_warm) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let (done, is_done) = mpsc::channel();
        let metrics = &metrics;
        scope.spawn(move || {
            use_all(metrics);
            use_all(metrics);
            warm.send(()).expect("the test waits");
            may_go.recv().expect("the test sends");
            (0..100).for_each(|_| use_all(metrics));
            // With closed sets, a thread also finds series that only another thread has recorded into.
            BY_FLAG.enter().start([label(&false)]).finish(false);
            BY_FLAG.enter().start_tracked([label(&false)]).finish(false);
            done.send(()).expect("the test waits");
        });
        BY_FLAG.enter().start([label(&false)]).finish(false);
        is_warm.recv().expect("no panic");
        let cores = [&LITERAL, &BY_PATH, &BY_FLAG, &BY_RESULT, &OF_SELF]
            .into_iter()
            .flat_map(|site| site.families().expect("initialized").cores());
        let tables: Vec<_> = cores
            .chain([&metrics.counter.core, &metrics.summary.core, &metrics.of_self.core])
            .map(|core| core.hold_lock())
            .collect();
        let others = (access::hold_locks(), gauge::hold_lock(), cache::hold_lock(), Registry::global().hold_lock());
        go.send(()).expect("the thread waits");
        let waited = is_done.recv_timeout(Duration::from_secs(20));
        drop((tables, others));
        assert_eq!(waited, Ok(()), "a warm thread waits for a lock");
    });
    assert_eq!(metrics.counter.labels(["/foo", "GET"]).value(), 102.0);
}

//! Native collectors are isolated from each other and from the scrape.

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use metrics_core::{Collect, FamilyInfo, Gauge, Kind, Labels, Number, ProblemKind, Registry, Value, Visitor};

use crate::internal_errors;

type Failure = Box<dyn Error + Send + Sync>;

struct Shows<F>(&'static str, F);

impl<F: Fn(&mut dyn Visitor) -> Result<(), Failure> + Send + Sync + 'static> Collect for Shows<F> {
    fn names(&self) -> Vec<String> {
        vec![self.0.to_owned()]
    }

    fn collect(&self, visitor: &mut dyn Visitor) -> Result<(), Failure> {
        (self.1)(visitor)
    }
}

fn show(visitor: &mut dyn Visitor, name: &str, labels: &[(&str, &str)]) {
    visitor.family(&FamilyInfo::new(name, "Shown.", Kind::Gauge));
    visitor.series(Labels::of(labels).borrow(), &Value::Gauge(1.5));
}

#[test]
fn all_types_are_exported() {
    let registry = Registry::new();
    let collector = Shows("many", |visitor: &mut dyn Visitor| {
        show(visitor, "many", &[("a", "say \"hi\"\n")]);
        visitor.family(&FamilyInfo::new("many_total", "Counted.", Kind::Counter));
        visitor.series(Labels::default(), &Value::Counter(Number::Whole(u64::MAX)));
        visitor.family(&FamilyInfo::new("many_seconds", "Summed.", Kind::Summary));
        let quantiles = [(0.5, 1.0), (0.99, 2.0)];
        visitor.series(Labels::default(), &Value::Summary { count: 3, sum: 4.0, quantiles: &quantiles });
        visitor.family(&FamilyInfo::new("empty", "Nothing.", Kind::Gauge));
        Ok(())
    });
    registry.register_collector(collector).expect("valid");
    let expected = "# HELP many Shown.\n# TYPE many gauge\nmany{a=\"say \\\"hi\\\"\\n\"} 1.5\n\
        # HELP many_seconds Summed.\n# TYPE many_seconds summary\nmany_seconds{quantile=\"0.5\"} 1\n\
        many_seconds{quantile=\"0.99\"} 2\nmany_seconds_sum 4\nmany_seconds_count 3\n\
        # HELP many_total Counted.\n# TYPE many_total counter\nmany_total 18446744073709551615\n";
    assert_eq!(registry.to_text(), expected);
}

#[test]
fn one_that_fails_or_panics_does_not_affect_other_families() {
    let registry = Registry::new();
    let good = Shows("good", |visitor: &mut dyn Visitor| {
        show(visitor, "good", &[]);
        Ok(())
    });
    let failing = Shows("failing", |visitor: &mut dyn Visitor| {
        show(visitor, "failing", &[]);
        Err("the pool is gone".into())
    });
    let panicking = Shows("panicking", |visitor: &mut dyn Visitor| {
        show(visitor, "panicking", &[]);
        panic!("a collector");
    });
    registry.register_collector(failing).expect("valid");
    registry.register_collector(panicking).expect("valid");
    registry.register_collector(good).expect("valid");
    let before = [internal_errors("collector_error"), internal_errors("collector_panic")];
    assert_eq!(registry.to_text(), "# HELP good Shown.\n# TYPE good gauge\ngood 1.5\n");
    assert!(internal_errors("collector_error") > before[0]);
    assert!(internal_errors("collector_panic") > before[1]);
}

#[test]
fn a_slow_one_is_skipped_and_not_started_twice() {
    let registry = Registry::new();
    let (go_on, paused) = mpsc::channel::<()>();
    let paused = std::sync::Mutex::new(paused);
    let runs = Arc::new(AtomicBool::new(false));
    let running = Arc::clone(&runs);
    let slow = Shows("slow", move |visitor: &mut dyn Visitor| {
        assert!(!running.swap(true, Ordering::Relaxed), "started twice");
        paused.lock().expect("one run").recv().expect("the test continues");
        show(visitor, "slow", &[]);
        running.store(false, Ordering::Relaxed);
        Ok(())
    });
    registry.register_collector(slow).expect("valid");
    Gauge::builder("fast", "").register_in(&registry).expect("valid");
    let before = internal_errors("collector_timeout");
    let scrape = || registry.scrape().collector_timeout(Duration::from_millis(20)).to_text();
    for _ in 0..3 {
        assert_eq!(scrape(), "# TYPE fast gauge\nfast 0\n");
    }
    assert!(internal_errors("collector_timeout") >= before + 3.0);
    go_on.send(()).expect("it waits");
    while runs.load(Ordering::Relaxed) {
        std::thread::yield_now();
    }
    go_on.send(()).expect("it will wait");
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !registry.to_text().contains("\nslow 1.5\n") {
        assert!(std::time::Instant::now() < deadline, "the collector did not finish");
        go_on.send(()).expect("it will wait");
    }
}

#[test]
fn concurrent_scrapes_all_export_it() {
    let registry = Registry::new();
    let collector = Shows("shared", |visitor: &mut dyn Visitor| {
        std::thread::yield_now();
        show(visitor, "shared", &[]);
        Ok(())
    });
    registry.register_collector(collector).expect("valid");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert!(registry.to_text().ends_with("shared 1.5\n"));
                }
            });
        }
    });
}

#[test]
fn invalid_families_are_skipped() {
    let registry = Registry::new();
    let bad = Shows("bad", |visitor: &mut dyn Visitor| {
        show(visitor, "bad name", &[]);
        show(visitor, "bad_label", &[("a-b", "x")]);
        visitor.family(&FamilyInfo::new("bad_type", "Shown.", Kind::Counter));
        visitor.series(Labels::default(), &Value::Gauge(1.0));
        visitor.family(&FamilyInfo::new("bad_twice", "Shown.", Kind::Gauge));
        visitor.series(Labels::default(), &Value::Gauge(1.0));
        visitor.series(Labels::default(), &Value::Gauge(2.0));
        show(visitor, "good", &[]);
        Ok(())
    });
    registry.register_collector(bad).expect("valid");
    assert_eq!(registry.to_text(), "# HELP good Shown.\n# TYPE good gauge\ngood 1.5\n");
}

/// A gate that blocks threads until it is opened.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn pass(&self) {
        let shut = self.0.lock().expect("no panic");
        drop(self.1.wait_while(shut, |open| !*open).expect("no panic"));
    }

    fn open(&self) {
        *self.0.lock().expect("no panic") = true;
        self.1.notify_all();
    }
}

/// A guard that opens the gate when dropped, even if the test fails, so that no thread waits forever.
struct Opens<'a>(&'a Gate);

impl Drop for Opens<'_> {
    fn drop(&mut self) {
        self.0.open();
    }
}

#[test]
fn concurrent_scrapes_start_few_runs_of_one_that_hangs() {
    let registry = Registry::new();
    let (gate, runs) = (Arc::new(Gate::default()), Arc::new(AtomicUsize::new(0)));
    let _opens = Opens(&gate);
    let (shut, begun) = (Arc::clone(&gate), Arc::clone(&runs));
    let stuck = Shows("stuck", move |visitor: &mut dyn Visitor| {
        begun.fetch_add(1, Ordering::Relaxed);
        shut.pass();
        show(visitor, "stuck", &[]);
        Ok(())
    });
    registry.register_collector(stuck).expect("valid");
    let at_once = Barrier::new(32);
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                at_once.wait();
                assert_eq!(registry.scrape().collector_timeout(Duration::from_millis(300)).to_text(), "");
            });
        }
    });
    assert!(runs.load(Ordering::Relaxed) <= 4, "{runs:?}");
    // The runs still in flight serve the waiting scrapes.
    thread::scope(|scope| {
        let scrapes: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| registry.scrape().collector_timeout(Duration::from_secs(60)).to_text()))
            .collect();
        gate.open();
        for scrape in scrapes {
            assert!(scrape.join().expect("no panic").ends_with("stuck 1.5\n"));
        }
    });
}

#[test]
fn a_scrape_that_times_out_early_does_not_affect_one_that_waits_longer() {
    let registry = Registry::new();
    let (gate, first) = (Arc::new(Gate::default()), AtomicBool::new(true));
    let _opens = Opens(&gate);
    let shut = Arc::clone(&gate);
    let slow_once = Shows("slow_once", move |visitor: &mut dyn Visitor| {
        if first.swap(false, Ordering::Relaxed) {
            shut.pass();
        }
        show(visitor, "slow_once", &[]);
        Ok(())
    });
    registry.register_collector(slow_once).expect("valid");
    let within = |timeout| registry.scrape().collector_timeout(timeout).to_text();
    assert_eq!(within(Duration::from_millis(20)), "");
    assert_eq!(within(Duration::from_millis(20)), "");
    assert!(within(Duration::from_secs(60)).ends_with("slow_once 1.5\n"));
}

#[test]
fn a_scrape_may_wait_forever() {
    let registry = Registry::new();
    let collector = Shows("awaited", |visitor: &mut dyn Visitor| {
        show(visitor, "awaited", &[]);
        Ok(())
    });
    registry.register_collector(collector).expect("valid");
    let outer = Registry::new();
    outer.register_prometheus_collector(Box::new(registry)).expect("valid");
    assert!(outer.scrape().collector_timeout(Duration::MAX).to_text().ends_with("awaited 1.5\n"));
}

#[test]
fn a_slow_collector_of_a_nested_registry_does_not_affect_other_families() {
    let (outer, inner) = (Registry::new(), Registry::new());
    let gate = Arc::new(Gate::default());
    let _opens = Opens(&gate);
    let shut = Arc::clone(&gate);
    let slow = Shows("slow", move |_: &mut dyn Visitor| {
        shut.pass();
        Ok(())
    });
    inner.register_collector(slow).expect("valid");
    Gauge::builder("fast", "").register_in(&inner).expect("valid");
    outer.register_prometheus_collector(Box::new(inner)).expect("valid");
    let text = outer.scrape().collector_timeout(Duration::from_secs(2)).to_text();
    assert_eq!(text, "# TYPE fast gauge\nfast 0\n");
}

#[test]
fn parts_of_a_family_are_exported_as_one() {
    let registry = Registry::new();
    let in_parts = Shows("pool", |visitor: &mut dyn Visitor| {
        show(visitor, "pool", &[("state", "idle")]);
        show(visitor, "other", &[]);
        show(visitor, "pool", &[("state", "busy")]);
        Ok(())
    });
    registry.register_collector(in_parts).expect("valid");
    let expected = "# HELP other Shown.\n# TYPE other gauge\nother 1.5\n\
        # HELP pool Shown.\n# TYPE pool gauge\npool{state=\"idle\"} 1.5\npool{state=\"busy\"} 1.5\n";
    assert_eq!(registry.to_text(), expected);
    assert!(registry.check().is_empty(), "{:?}", registry.check());
}

#[test]
fn a_histogram_gets_its_last_bucket() {
    let registry = Registry::new();
    let open = Shows("open", |visitor: &mut dyn Visitor| {
        visitor.family(&FamilyInfo::new("open", "", Kind::Histogram));
        visitor.series(Labels::default(), &Value::Histogram { count: 3, sum: 4.5, buckets: &[(1.0, 2)], native: None });
        Ok(())
    });
    registry.register_collector(open).expect("valid");
    let expected = "# TYPE open histogram\nopen_bucket{le=\"1\"} 2\nopen_bucket{le=\"+Inf\"} 3\n\
        open_sum 4.5\nopen_count 3\n";
    assert_eq!(registry.to_text(), expected);
}

#[test]
fn skipped_families_are_reported_with_the_reason() {
    let registry = Registry::new();
    let bad = Shows("bad", |visitor: &mut dyn Visitor| {
        show(visitor, "bad", &[]);
        visitor.family(&FamilyInfo::new("bad", "Shown.", Kind::Counter));
        visitor.series(Labels::default(), &Value::Counter(Number::Whole(1)));
        visitor.family(&FamilyInfo::new("bad_type", "Shown.", Kind::Counter));
        visitor.series(Labels::default(), &Value::Gauge(1.0));
        show(visitor, "bad_twice", &[("a", "1"), ("b", "2")]);
        show(visitor, "bad_twice", &[("b", "2"), ("a", "1")]);
        show(visitor, "bad name", &[]);
        show(visitor, "ours_count", &[]);
        Ok(())
    });
    registry.register_collector(bad).expect("valid");
    let line = line!() + 1;
    metrics_core::Summary::builder("ours", "Ours.").register_in(&registry).expect("free");
    let before = internal_errors("collector_conflict");
    let problems = registry.check();
    assert!(problems.iter().all(|problem| problem.kind == ProblemKind::CollectedFamily), "{problems:?}");
    let mut messages: Vec<String> = problems.iter().map(ToString::to_string).collect();
    messages.sort();
    let ours = format!(
        "skipped ours_count from the collector of bad: its name belongs to the family ours at {}:{line}",
        file!()
    );
    let expected = [
        "skipped bad from the collector of bad: it cannot be merged with another reported family of the same name",
        "skipped bad name from the collector of bad: \
         metric name \"bad name\" is invalid: write [a-zA-Z_:][a-zA-Z0-9_:]*",
        "skipped bad_twice from the collector of bad: two of its series have the same labels",
        "skipped bad_type from the collector of bad: a value does not match its type",
        &ours,
    ];
    assert_eq!(messages, expected);
    assert!(internal_errors("collector_conflict") >= before + 5.0);
}

#[test]
fn a_collector_that_scrapes_its_own_registry_does_not_wait_for_itself() {
    let registry = Registry::new();
    let own = registry.clone();
    let collector = Shows("scraped_lines", move |visitor: &mut dyn Visitor| {
        let text = own.to_text();
        visitor.family(&FamilyInfo::new("scraped_lines", "Lines of a scrape.", Kind::Gauge));
        visitor.series(Labels::default(), &Value::Gauge(text.lines().count() as f64));
        Ok(())
    });
    registry.register_collector(collector).expect("valid");
    Gauge::builder("level", "").register_in(&registry).expect("valid");
    let begin = Instant::now();
    let expected = "# TYPE level gauge\nlevel 0\n# HELP scraped_lines Lines of a scrape.\n\
        # TYPE scraped_lines gauge\nscraped_lines 2\n";
    // The scrape reaches this timeout only if it waits for itself.
    let long = Duration::from_secs(60);
    assert_eq!(registry.scrape().collector_timeout(long).to_text(), expected);
    assert!(begin.elapsed() < long, "it has waited for itself");
}

//! Collectors of ours: isolated from each other and from the scrape.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use metrics_core::{Collect, FamilyInfo, Gauge, Kind, Labels, Number, Registry, Value, Visitor};

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
fn all_types_are_shown() {
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
    registry.register_collect(collector).expect("valid");
    let expected = "# HELP many Shown.\n# TYPE many gauge\nmany{a=\"say \\\"hi\\\"\\n\"} 1.5\n\
        # HELP many_seconds Summed.\n# TYPE many_seconds summary\nmany_seconds{quantile=\"0.5\"} 1\n\
        many_seconds{quantile=\"0.99\"} 2\nmany_seconds_sum 4\nmany_seconds_count 3\n\
        # HELP many_total Counted.\n# TYPE many_total counter\nmany_total 18446744073709551615\n";
    assert_eq!(registry.to_text(), expected);
}

#[test]
fn one_that_fails_or_panics_costs_its_own_families() {
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
    registry.register_collect(failing).expect("valid");
    registry.register_collect(panicking).expect("valid");
    registry.register_collect(good).expect("valid");
    let before = [internal_errors("collector_error"), internal_errors("collector_panic")];
    assert_eq!(registry.to_text(), "# HELP good Shown.\n# TYPE good gauge\ngood 1.5\n");
    assert!(internal_errors("collector_error") > before[0]);
    assert!(internal_errors("collector_panic") > before[1]);
}

#[test]
fn one_that_is_slow_is_left_behind_and_not_started_twice() {
    let registry = Registry::new();
    let (go_on, paused) = mpsc::channel::<()>();
    let paused = std::sync::Mutex::new(paused);
    let runs = Arc::new(AtomicBool::new(false));
    let running = Arc::clone(&runs);
    let slow = Shows("slow", move |visitor: &mut dyn Visitor| {
        assert!(!running.swap(true, Ordering::Relaxed), "started twice");
        paused.lock().expect("one run").recv().expect("the test goes on");
        show(visitor, "slow", &[]);
        running.store(false, Ordering::Relaxed);
        Ok(())
    });
    registry.register_collect(slow).expect("valid");
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
        assert!(std::time::Instant::now() < deadline, "it did not come back");
        go_on.send(()).expect("it will wait");
    }
}

#[test]
fn scrapes_at_the_same_time_all_show_it() {
    let registry = Registry::new();
    let collector = Shows("shared", |visitor: &mut dyn Visitor| {
        std::thread::yield_now();
        show(visitor, "shared", &[]);
        Ok(())
    });
    registry.register_collect(collector).expect("valid");
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
fn what_would_spoil_the_exposition_is_left_out() {
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
    registry.register_collect(bad).expect("valid");
    assert_eq!(registry.to_text(), "# HELP good Shown.\n# TYPE good gauge\ngood 1.5\n");
}

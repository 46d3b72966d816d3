//! The increases that are sent to StatsD servers if series are new, are removed, or come from collectors that fail.

use std::error::Error;
use std::sync::Mutex;
use std::time::Duration;

use metrics_core::{Collect, Counter, FamilyInfo, Kind, Labels, Number, Registry, Value, Visitor};

use crate::sample;
use crate::statsd::{NOTHING, Server};

#[test]
fn a_new_series_is_sent_once_even_at_0() {
    let server = Server::start();
    let registry = Registry::new();
    let family = Counter::builder("c_total", "").labels(["v"]).register_in(&registry).expect("valid");
    family.labels(["a"]);
    let statsd = server.statsd(&registry);
    assert_eq!(server.lines(&statsd), ["c_total.v.a:0|c"]);
    assert_eq!(server.lines(&statsd), NOTHING);
    family.labels(["b"]);
    assert_eq!(server.lines(&statsd), ["c_total.v.b:0|c"]);
    family.labels(["a"]).inc_by(0.25);
    family.labels(["b"]).inc_by(2);
    assert_eq!(server.lines(&statsd), ["c_total.v.a:0.25|c", "c_total.v.b:2|c"]);
    assert_eq!(server.lines(&statsd), NOTHING);
}

#[test]
fn a_removed_series_begins_again_at_0() {
    let server = Server::start();
    let registry = Registry::new();
    let family = Counter::builder("c_total", "").labels(["v"]).register_in(&registry).expect("valid");
    family.labels(["a"]).inc_by(5);
    let statsd = server.statsd(&registry);
    assert_eq!(server.lines(&statsd), ["c_total.v.a:5|c"]);
    // The total of the new series is not lower, so only its creation time differs.
    for total in [5, 7] {
        family.remove(["a"]);
        family.labels(["a"]).inc_by(total);
        assert_eq!(server.lines(&statsd), [format!("c_total.v.a:{total}|c")]);
    }
    family.remove(["a"]);
    assert_eq!(server.lines(&statsd), NOTHING);
    family.labels(["a"]).inc_by(7);
    assert_eq!(server.lines(&statsd), ["c_total.v.a:7|c"]);
}

#[test]
fn clones_share_the_delivered_totals() {
    let server = Server::start();
    let registry = Registry::new();
    let counter = Counter::builder("c_total", "").register_in(&registry).expect("valid");
    counter.inc_by(5);
    let statsd = server.statsd(&registry);
    let clone = statsd.clone().name("clone").timeout(Duration::from_secs(5));
    assert_eq!(server.lines(&statsd), ["c_total:5|c"]);
    counter.inc();
    assert_eq!(server.lines(&clone), ["c_total:1|c"]);
    assert_eq!(server.lines(&statsd), NOTHING);
    // The names differ, so the server has none of these totals.
    assert_eq!(server.lines(&statsd.clone().prefix("p")), ["p.c_total:6|c"]);
    assert_eq!(server.lines(&statsd.clone().datadog()), ["c_total:6|c"]);
    let other = Registry::new();
    Counter::builder("c_total", "").register_in(&other).expect("valid").inc_by(7);
    assert_eq!(server.lines(&statsd.clone().registry(&other)), ["c_total:7|c"]);
    counter.inc();
    assert_eq!(server.lines(&statsd), ["c_total:1|c"]);
    assert_eq!(server.lines(&server.statsd(&registry)), ["c_total:7|c"]);
}

/// A collector whose families and values can be changed, or which fails if there are none.
struct Reported(&'static Mutex<Vec<(&'static str, Value<'static>)>>);

impl Collect for Reported {
    fn names(&self) -> Vec<String> {
        vec!["pool".to_owned()]
    }

    fn collect(&self, visitor: &mut dyn Visitor) -> Result<(), Box<dyn Error + Send + Sync>> {
        let values = self.0.lock().expect("no panic");
        let (_, first) = values.first().ok_or("no values")?;
        let kind = match first {
            Value::Counter(_) => Kind::Counter,
            Value::Summary { .. } => Kind::Summary,
            _ => Kind::Untyped,
        };
        visitor.family(&FamilyInfo::new("pool", "Shown.", kind));
        for (label, value) in values.iter() {
            visitor.series(Labels::of(&[("of", label)]).borrow(), value);
        }
        Ok(())
    }
}

/// Returns a registry with a collector, and the collector's values.
fn reporting() -> (Registry, &'static Mutex<Vec<(&'static str, Value<'static>)>>) {
    let values: &'static Mutex<_> = Box::leak(Box::default());
    let registry = Registry::new();
    registry.register_collector(Reported(values)).expect("valid");
    (registry, values)
}

#[test]
fn values_that_are_not_finite_are_skipped() {
    let server = Server::start();
    let (registry, values) = reporting();
    let count = |number| Value::Counter(Number::Float(number));
    let statsd = server.statsd(&registry).name("statsd_infinite");
    let set = |new: &[(&'static str, Value<'static>)]| *values.lock().expect("no panic") = new.to_vec();
    set(&[("a", count(1.5)), ("b", count(f64::INFINITY)), ("c", count(f64::NAN))]);
    assert_eq!(server.lines(&statsd), ["pool.of.a:1.5|c"]);
    // A value that is not finite in between does not change the delivered total.
    set(&[("a", count(f64::NAN)), ("b", count(2.0)), ("c", count(3.0))]);
    assert_eq!(server.lines(&statsd), ["pool.of.b:2|c", "pool.of.c:3|c"]);
    set(&[("a", count(2.0)), ("b", count(2.0)), ("c", count(3.0))]);
    assert_eq!(server.lines(&statsd), ["pool.of.a:0.5|c"]);
    let summary = |count, sum, quantile| Value::Summary { count, sum, quantiles: quantile };
    set(&[("a", summary(3, f64::NAN, &[(0.5, f64::NAN), (0.9, f64::NEG_INFINITY)]))]);
    assert_eq!(server.lines(&statsd), ["pool_count.of.a:3|c"]);
    assert_eq!(sample("metrics_core_push_samples_dropped_total{target=\"statsd_infinite\"}"), Some(6.0));
}

#[test]
fn a_collector_that_fails_once_does_not_begin_again() {
    let server = Server::start();
    let (registry, values) = reporting();
    let statsd = server.statsd(&registry);
    let set = |count, sum| {
        let value = Value::Summary { count, sum, quantiles: &[] };
        *values.lock().expect("no panic") = vec![("a", value)];
    };
    set(10, 8.0);
    assert_eq!(server.lines(&statsd), ["pool_count.of.a:10|c", "pool_sum.of.a:8|c"]);
    values.lock().expect("no panic").clear();
    assert_eq!(server.lines(&statsd), NOTHING);
    set(11, 7.5);
    assert_eq!(server.lines(&statsd), ["pool_count.of.a:1|c", "pool_sum.of.a:-0.5|c"]);
    // A count that fell means that the sum began again as well, although it did not fall.
    set(4, 9.0);
    assert_eq!(server.lines(&statsd), ["pool_count.of.a:4|c", "pool_sum.of.a:9|c"]);
}

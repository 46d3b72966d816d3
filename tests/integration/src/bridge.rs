//! Our registry and the `prometheus` crate's registry each export the other's families once.

use metrics_core::{Counter, Error, Gauge, Histogram, ProblemKind, Registry, Summary};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Metric, MetricFamily, MetricType};

use crate::{internal_errors, sample};

fn gathered(name: &str) -> Vec<MetricFamily> {
    prometheus::gather().into_iter().filter(|family| family.name() == name).collect()
}

#[test]
fn our_scrape_exports_their_families() {
    let counter =
        prometheus::IntCounterVec::new(prometheus::Opts::new("theirs_total", "Theirs."), &["a"]).expect("valid");
    prometheus::register(Box::new(counter.clone())).expect("free");
    counter.with_label_values(&["q\"\\\n"]).inc_by(3);
    let gauge = prometheus::Gauge::new("theirs", "Their gauge.").expect("valid");
    prometheus::register(Box::new(gauge.clone())).expect("free");
    gauge.set(f64::INFINITY);
    let options = prometheus::HistogramOpts::new("theirs_seconds", "Their histogram.").buckets(vec![0.5]);
    let histogram = prometheus::Histogram::with_opts(options).expect("valid");
    prometheus::register(Box::new(histogram.clone())).expect("free");
    histogram.observe(0.25);
    histogram.observe(1.0);
    let text = Registry::global().to_text();
    for lines in [
        "# HELP theirs_total Theirs.\n# TYPE theirs_total counter\ntheirs_total{a=\"q\\\"\\\\\\n\"} 3\n",
        "# HELP theirs Their gauge.\n# TYPE theirs gauge\ntheirs +Inf\n",
        "# TYPE theirs_seconds histogram\ntheirs_seconds_bucket{le=\"0.5\"} 1\n\
         theirs_seconds_bucket{le=\"+Inf\"} 2\ntheirs_seconds_sum 1.25\ntheirs_seconds_count 2\n",
    ] {
        assert_eq!(text.matches(lines).count(), 1, "{lines}\n{text}");
    }
}

#[test]
fn their_gather_returns_our_families() {
    let counter = Counter::builder("ours_total", "Ours.").labels(["a", "B"]).register();
    counter.labels(["x", "y"]).inc_by(2);
    Gauge::builder("ours_level", "").register().set(-1);
    Summary::builder("ours_seconds", "").register().observe(0.5);
    Histogram::builder("ours_bytes", "").buckets([1.0]).register().observe(2);
    let [family] = &gathered("ours_total")[..] else { panic!("once") };
    assert_eq!((family.help(), family.get_field_type()), ("Ours.", MetricType::COUNTER));
    let labels: Vec<_> = family.get_metric()[0].get_label().iter().map(|pair| (pair.name(), pair.value())).collect();
    assert_eq!(labels, [("B", "y"), ("a", "x")]);
    let [summary] = &gathered("ours_seconds")[..] else { panic!("once") };
    assert_eq!(summary.get_metric()[0].get_summary().sample_sum(), 0.5);
    let [histogram] = &gathered("ours_bytes")[..] else { panic!("once") };
    assert_eq!(histogram.get_metric()[0].get_histogram().get_bucket().len(), 1);
    let text = prometheus::TextEncoder::new().encode_to_string(&prometheus::gather()).expect("readable for them");
    assert!(text.contains("ours_bytes_bucket{le=\"+Inf\"} 1\n"), "{text}");
    assert!(text.contains("ours_total{B=\"y\",a=\"x\"} 2\n") && text.contains("ours_level -1\n"), "{text}");
}

#[test]
fn a_prometheus_family_with_a_registered_name_is_skipped_and_reported() {
    let ours = Summary::builder("claimed", "Ours.").register();
    ours.observe(1);
    let theirs = prometheus::IntCounter::new("claimed_count", "Theirs.").expect("valid");
    prometheus::register(Box::new(theirs)).expect("free there");
    let before = internal_errors("collector_conflict");
    let text = Registry::global().to_text();
    assert_eq!(text.matches("claimed_count ").count(), 1, "{text}");
    let problems = Registry::global().check();
    let problem = problems.iter().find(|problem| problem.family == "claimed_count").expect("listed");
    assert_eq!(problem.kind, ProblemKind::CollectedFamily);
    let message = "skipped claimed_count from the `prometheus` registry: its name belongs to the family claimed at ";
    assert!(problem.to_string().starts_with(&format!("{message}{}:", file!())), "{problem}");
    assert!(internal_errors("collector_conflict") > before);
}

/// A collector that exports the families returned by a function.
struct Shows(Desc, fn() -> Vec<MetricFamily>);

impl Shows {
    fn boxed(name: &str, collect: fn() -> Vec<MetricFamily>) -> Box<dyn Collector> {
        let desc = Desc::new(name.to_owned(), "Shown.".to_owned(), Vec::new(), Default::default()).expect("valid");
        Box::new(Self(desc, collect))
    }
}

impl Collector for Shows {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        (self.1)()
    }
}

fn untyped_family() -> Vec<MetricFamily> {
    let mut metric = Metric::default();
    #[cfg(feature = "prometheus-protobuf")]
    {
        let mut untyped = prometheus::proto::Untyped::default();
        untyped.set_value(42.5);
        metric.untyped = Some(untyped).into();
    }
    #[cfg(not(feature = "prometheus-protobuf"))]
    #[allow(deprecated, reason = "there is no other setter")]
    {
        let mut untyped = prometheus::proto::Untyped::default();
        untyped.set_value(42.5);
        metric.set_untyped(untyped);
    }
    let mut family = MetricFamily::default();
    family.set_name("unknown".to_owned());
    family.set_help("Of no type.".to_owned());
    family.set_field_type(MetricType::UNTYPED);
    family.set_metric(vec![metric]);
    vec![family]
}

#[test]
fn untyped_families_are_written_with_their_value() {
    let registry = Registry::new();
    registry.register_prometheus_collector(Shows::boxed("unknown", untyped_family)).expect("valid");
    assert_eq!(registry.to_text(), "# HELP unknown Of no type.\n# TYPE unknown untyped\nunknown 42.5\n");
}

#[test]
fn untyped_families_are_gauges_in_the_prometheus_crate() {
    let (ours, theirs) = (Registry::new(), prometheus::Registry::new());
    ours.register_prometheus_collector(Shows::boxed("unknown", untyped_family)).expect("valid");
    theirs.register(Box::new(ours)).expect("valid");
    // The encoder panics if a family is untyped.
    let text = prometheus::TextEncoder::new().encode_to_string(&theirs.gather()).expect("valid");
    assert_eq!(text, "# HELP unknown Of no type.\n# TYPE unknown gauge\nunknown 42.5\n");
}

#[test]
fn a_collector_that_panics_does_not_affect_other_families() {
    let registry = Registry::new();
    registry.register_prometheus_collector(Shows::boxed("bad", || panic!("a collector"))).expect("valid");
    let good = prometheus::IntCounter::new("good_total", "Good.").expect("valid");
    let id = registry.register_prometheus_collector(Box::new(good)).expect("valid");
    let before = internal_errors("collector_panic");
    assert_eq!(registry.to_text(), "# HELP good_total Good.\n# TYPE good_total counter\ngood_total 0\n");
    assert!(internal_errors("collector_panic") > before);
    assert!(registry.unregister_collector(id));
    assert!(!registry.unregister_collector(id));
    assert_eq!(registry.to_text(), "");
}

#[test]
fn a_collector_may_use_the_registry_it_is_in() {
    let registry = Registry::global();
    let collector = Shows::boxed("registers", || {
        Counter::builder("registered_while_gathering_total", "").register().inc();
        untyped_family()
    });
    let id = registry.register_prometheus_collector(collector).expect("valid");
    assert!(registry.to_text().contains("\nunknown 42.5\n"));
    assert!(sample("registered_while_gathering_total") >= Some(2.0));
    registry.unregister_collector(id);
}

#[test]
fn invalid_families_are_skipped() {
    let registry = Registry::new();
    let bad_name = || {
        let mut families = untyped_family();
        families[0].set_name("bad name".to_owned());
        families
    };
    let bad_label = || {
        let mut families = untyped_family();
        let mut pair = prometheus::proto::LabelPair::default();
        pair.set_name("bad label".to_owned());
        families[0].mut_metric()[0].set_label(vec![pair]);
        families
    };
    registry.register_prometheus_collector(Shows::boxed("one", bad_name)).expect("valid");
    registry.register_prometheus_collector(Shows::boxed("two", bad_label)).expect("valid");
    assert_eq!(registry.to_text(), "");
}

#[test]
fn a_metric_that_a_collector_returns_twice_is_exported_once() {
    let registry = Registry::new();
    let twice = || {
        let mut families = untyped_family();
        let metric = families[0].get_metric()[0].clone();
        families[0].mut_metric().push(metric);
        families
    };
    registry.register_prometheus_collector(Shows::boxed("unknown", twice)).expect("valid");
    assert_eq!(registry.to_text(), "# HELP unknown Of no type.\n# TYPE unknown untyped\nunknown 42.5\n");
}

#[test]
fn names_described_by_collectors_are_taken() {
    let registry = Registry::new();
    registry.register_prometheus_collector(Shows::boxed("described", Vec::new)).expect("valid");
    let error = Gauge::builder("described", "").register_in(&registry).map(drop);
    assert!(matches!(error, Err(Error::NameTaken { .. })), "{error:?}");
    let error = registry.register_prometheus_collector(Shows::boxed("described", Vec::new)).map(drop);
    assert!(matches!(error, Err(Error::Collector { .. })), "{error:?}");
    Summary::builder("s", "").register_in(&registry).expect("free");
    let error = registry.register_prometheus_collector(Shows::boxed("s_sum", Vec::new)).map(drop);
    assert!(matches!(error, Err(Error::Collector { .. })), "{error:?}");
}

#[test]
fn a_registry_in_itself_exports_its_families_once() {
    let (one, other) = (Registry::new(), Registry::new());
    Counter::builder("one_total", "").register_in(&one).expect("valid");
    Counter::builder("other_total", "").register_in(&other).expect("valid");
    one.register_prometheus_collector(Box::new(one.clone())).expect("no name is taken");
    one.register_prometheus_collector(Box::new(other.clone())).expect("no name is taken");
    other.register_prometheus_collector(Box::new(one.clone())).expect("no name is taken");
    let text = one.to_text();
    assert_eq!((text.matches("\none_total 0").count(), text.matches("\nother_total 0").count()), (1, 1), "{text}");
}

#[test]
fn a_metric_that_is_registered_twice_is_exported_once() {
    let counter = prometheus::IntCounterVec::new(prometheus::Opts::new("both_total", "Both."), &["a"]).expect("valid");
    counter.with_label_values(&["x"]).inc();
    prometheus::register(Box::new(counter.clone())).expect("free");
    let id = Registry::global().register_prometheus_collector(Box::new(counter)).expect("valid");
    let text = Registry::global().to_text();
    assert_eq!(text.matches("both_total{").count(), 1, "{text}");
    Registry::global().unregister_collector(id);
}

fn ordered(labels: &[(&str, &str)]) -> Vec<MetricFamily> {
    let mut metric = Metric::default();
    metric.set_label(
        labels
            .iter()
            .map(|(name, value)| {
                let mut pair = prometheus::proto::LabelPair::default();
                pair.set_name((*name).to_owned());
                pair.set_value((*value).to_owned());
                pair
            })
            .collect(),
    );
    let mut family = MetricFamily::default();
    family.set_name("ordered".to_owned());
    family.set_field_type(MetricType::GAUGE);
    family.set_metric(vec![metric]);
    vec![family]
}

#[test]
fn a_label_set_in_two_orders_or_with_an_empty_label_is_exported_once() {
    let registry = Registry::new();
    let collectors = [
        Shows::boxed("one", || ordered(&[("a", "x"), ("b", "x")])),
        Shows::boxed("other", || ordered(&[("b", "x"), ("a", "x")])),
        Shows::boxed("third", || ordered(&[("b", "x"), ("c", ""), ("a", "x")])),
    ];
    for collector in collectors {
        registry.register_prometheus_collector(collector).expect("valid");
    }
    assert_eq!(registry.to_text(), "# TYPE ordered gauge\nordered{a=\"x\",b=\"x\"} 0\n");
}

#[test]
fn a_registry_is_a_collector() {
    let registry = Registry::new();
    Counter::builder("nested_total", "").register_in(&registry).expect("valid").inc();
    let theirs = prometheus::Registry::new();
    theirs.register(Box::new(registry.clone())).expect("a collector");
    let names: Vec<String> = theirs.gather().iter().map(|family| family.name().to_owned()).collect();
    assert_eq!(names, ["nested_total"]);
    theirs.register(Box::new(Registry::new())).expect("another one");
}

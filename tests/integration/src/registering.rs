//! Registrations that a registry accepts, shares or rejects.

use metrics_core::{
    Counter, Error, Family, Field, Gauge, Histogram, LabelValue, Metrics, Owner, ProblemKind, Registry, StyleRule,
    Summary, instrument,
};

use crate::{internal_errors, sample};

#[test]
fn equal_declarations_share_one_family() {
    let registry = Registry::new();
    let counter =
        || Counter::builder("same_total", "Same.").const_label("b", "2").const_label("a", "1").register_in(&registry);
    let (first, second) = (counter().expect("valid"), counter().expect("the same"));
    first.inc();
    second.inc();
    assert_eq!(first.value(), 2.0);
    let family = || Summary::builder("same_seconds", "Same.").labels(["a", "b"]).register_in(&registry);
    let (first, second) = (family().expect("valid"), family().expect("the same"));
    first.labels(["x", "y"]).observe(1);
    assert_eq!(second.get(["x", "y"]).map(|summary| summary.count()), Some(1));
}

#[test]
fn any_difference_is_an_error_that_names_it() {
    let registry = Registry::new();
    let line = line!() + 1;
    Histogram::builder("taken_seconds", "Help.").labels(["a"]).buckets([1.0]).register_in(&registry).expect("valid");
    let field = |error: Result<(), Error>| match error {
        Err(Error::Conflict { field, .. }) => Some(field),
        _ => None,
    };
    let histogram = || Histogram::builder("taken_seconds", "Help.").buckets([1.0]);
    let summary = Summary::builder("taken_seconds", "Help.").labels(["a"]).register_in(&registry);
    assert_eq!(field(summary.map(drop)), Some(Field::Type));
    assert_eq!(field(histogram().labels(["b"]).register_in(&registry).map(drop)), Some(Field::LabelNames));
    assert_eq!(field(histogram().register_in(&registry).map(drop)), Some(Field::LabelNames));
    let labeled = || histogram().labels(["a"]);
    assert_eq!(field(labeled().const_label("c", "1").register_in(&registry).map(drop)), Some(Field::ConstLabels));
    assert_eq!(field(labeled().unit("seconds").register_in(&registry).map(drop)), Some(Field::Unit));
    assert_eq!(field(labeled().buckets([2.0]).register_in(&registry).map(drop)), Some(Field::Buckets));
    let other_help = Histogram::builder("taken_seconds", "Other.").labels(["a"]).buckets([1.0]).register_in(&registry);
    let error = other_help.map(drop).expect_err("another help");
    let expected =
        format!("taken_seconds is registered with another help: \"Help.\" at {}:{}, \"Other.\" here", file!(), line);
    assert_eq!(error.to_string(), expected);
    assert!(labeled().register_in(&registry).is_ok());
}

/// Registers a `prometheus` collector under a name that is already taken, and returns the owner named in the error.
fn error_of_collector(registry: &Registry, name: &str) -> Owner {
    let collector = prometheus::Gauge::new(name, "-").expect("valid");
    match registry.register_prometheus_collector(Box::new(collector)) {
        Err(Error::Collector { name: first, owner }) if first == name => owner,
        other => panic!("{other:?}"),
    }
}

#[test]
fn sample_names_belong_to_one_family() {
    let registry = Registry::new();
    let line = line!() + 1;
    Summary::builder("x", "").register_in(&registry).expect("valid");
    for name in ["x_count", "x_sum", "x_created"] {
        let error = Gauge::builder(name, "").register_in(&registry).map(drop).expect_err(name);
        let place = format!("{}:{line}", file!());
        let expected = format!("{name} would export {name}, which belongs to the family x at {place}");
        assert_eq!(error.to_string(), expected);
        assert_eq!(error_of_collector(&registry, name).to_string(), format!("the family x at {place}"));
    }
    Gauge::builder("called", "").register_callback_in(&registry, || 1.0).expect("valid");
    let error = Gauge::builder("called", "").register_in(&registry).map(drop).expect_err("a callback");
    assert!(
        matches!(&error, Error::NameTaken { owner: Owner::Callback { name, .. }, .. } if name == "called"),
        "{error}"
    );
    assert!(matches!(error_of_collector(&registry, "called"), Owner::Callback { name, .. } if name == "called"));
    Gauge::builder("kept", "").register_in(&registry).expect("valid");
    let error = Gauge::builder("kept", "").register_callback_in(&registry, || 1.0).expect_err("a family");
    assert!(matches!(&error, Error::NameTaken { owner: Owner::Family { name, .. }, .. } if name == "kept"), "{error}");
    let collected = prometheus::Gauge::new("collected", "-").expect("valid");
    registry.register_prometheus_collector(Box::new(collected)).expect("valid");
    let error = Gauge::builder("collected", "").register_in(&registry).map(drop).expect_err("a collector");
    assert!(matches!(&error, Error::NameTaken { owner: Owner::Collector, .. }), "{error}");
    assert_eq!(error.to_string(), "collected would export collected, which belongs to a registered collector");
    assert_eq!(error_of_collector(&registry, "collected"), Owner::Collector);
    Gauge::builder("y_bucket", "").register_in(&registry).expect("valid");
    assert!(Histogram::builder("y", "").register_in(&registry).is_err());
    assert!(Summary::builder("y", "").register_in(&registry).is_ok());
    assert!(registry.unregister("x"));
    assert!(!registry.unregister("x"));
    assert!(Gauge::builder("x_count", "").register_in(&registry).is_ok());
}

#[test]
fn invalid_declarations_are_typed_errors() {
    let registry = Registry::with_const_labels([("zone", "eu")]).expect("a valid label");
    let metric = || "m".to_owned();
    for name in ["", "1a", "a-b", "a b", "ü", "a\n"] {
        let error = Counter::builder(name, "").register_in(&registry).map(drop);
        assert_eq!(error, Err(Error::InvalidName { name: name.to_owned() }));
    }
    for label in ["", "1", "a:b", "a-b", "ü"] {
        let error = Counter::builder("m", "").labels([label]).register_in(&registry).map(drop);
        assert_eq!(error, Err(Error::InvalidLabelName { metric: metric(), label: label.to_owned() }));
    }
    let reserved = |label: &str| Err(Error::ReservedLabelName { metric: metric(), label: label.to_owned() });
    assert_eq!(Counter::builder("m", "").labels(["__name"]).register_in(&registry).map(drop), reserved("__name"));
    assert_eq!(Histogram::builder("m", "").labels(["le"]).register_in(&registry).map(drop), reserved("le"));
    assert_eq!(Summary::builder("m", "").labels(["quantile"]).register_in(&registry).map(drop), reserved("quantile"));
    let twice = |label: &str| Err(Error::DuplicateLabelName { metric: metric(), label: label.to_owned() });
    assert_eq!(Counter::builder("m", "").labels(["a", "a"]).register_in(&registry).map(drop), twice("a"));
    assert_eq!(Counter::builder("m", "").labels(["zone"]).register_in(&registry).map(drop), twice("zone"));
    for bounds in [vec![], vec![1.0, 1.0], vec![2.0, 1.0], vec![f64::NAN], vec![f64::INFINITY]] {
        let error = Histogram::builder("m", "").buckets(bounds).register_in(&registry).map(drop);
        assert!(matches!(error, Err(Error::InvalidBuckets { .. })), "{error:?}");
    }
    let error = Counter::builder("m_total", "").unit("bytes").register_in(&registry).map(drop);
    assert!(matches!(error, Err(Error::InvalidUnit { .. })), "{error:?}");
    assert!(Counter::builder("m_bytes_total", "").unit("bytes").register_in(&registry).is_ok());
    // `_total` may follow the unit only in the name of a counter.
    let error = Gauge::builder("n_bytes_total", "").unit("bytes").register_in(&registry).map(drop);
    assert!(matches!(error, Err(Error::InvalidUnit { .. })), "{error:?}");
    // A failed registration does not reserve the name.
    Counter::builder("m", "").register_in(&registry).expect("still free").inc();
    assert!(registry.to_text().contains("\nm{zone=\"eu\"} 1\n"), "{}", registry.to_text());
}

#[test]
fn register_returns_a_working_metric_and_check_reports_why_it_is_not_exported() {
    let first = Counter::builder("conflicting_total", "First.").register();
    let second = Counter::builder("conflicting_total", "Second.").register();
    let invalid = Histogram::builder("conflicting seconds", "").buckets([2.0, f64::NAN, 1.0]).register();
    first.inc();
    second.inc_by(5);
    invalid.observe(1.5);
    assert_eq!((first.value(), second.value(), invalid.count()), (1.0, 5.0, 1));
    assert_eq!(sample("conflicting_total"), Some(1.0));
    let problems = Registry::global().check();
    let problem = problems.iter().find(|problem| problem.family == "conflicting_total").expect("a problem");
    assert_eq!(problem.kind, ProblemKind::Declaration);
    let location = problem.location.expect("known");
    assert_eq!((location.file(), location.line()), (file!(), line!() - 11));
    let expected = format!(
        ": conflicting_total is registered with another help: \"First.\" at {}:{}, \"Second.\" here",
        file!(),
        location.line() - 1
    );
    assert!(problem.to_string().ends_with(&expected), "{problem}");
    assert!(problems.iter().any(|problem| problem.family == "conflicting seconds"));
    assert!(sample("metrics_core_problems").expect("exported") >= 2.0);
}

/// Returns the samples with this name, as pairs of label text and value.
fn exported(name: &str) -> Vec<(String, f64)> {
    let text = Registry::global().to_text();
    let samples = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} "));
    samples.map(|(labels, value)| (labels.to_owned(), value.parse().expect("a number"))).collect()
}

#[test]
fn functions_with_different_labels_share_a_default_name() {
    #[derive(LabelValue, Clone, Copy)]
    enum Kind {
        Declined,
    }
    #[instrument("/checkout", kind, prefix = "shared")]
    fn checkout() -> Result<(), Kind> {
        Err(Kind::Declined)
    }
    #[instrument("/login", prefix = "shared")]
    fn login() -> Result<(), ()> {
        Err(())
    }
    #[instrument(path, method = "GET", prefix = "shared")]
    fn by_path(path: &str) -> Result<usize, ()> {
        if path.is_empty() { Err(()) } else { Ok(path.len()) }
    }
    for _ in 0..10 {
        checkout().expect_err("declined");
        login().expect_err("fails");
    }
    by_path("/login").expect("a path");
    let text = Registry::global().to_text();
    assert_eq!(text.matches("# TYPE shared_request_exceptions_total counter\n").count(), 1, "{text}");
    let exceptions = exported("shared_request_exceptions_total");
    for labels in ["path=\"/checkout\",kind=\"declined\"", "path=\"/login\""] {
        assert!(exceptions.contains(&(labels.to_owned(), 10.0)), "{exceptions:?}");
    }
    let calls = exported("shared_request_latency_seconds_count");
    let of = |path: &str| calls.iter().filter(|(labels, _)| labels.contains(path)).map(|(_, value)| value).sum::<f64>();
    assert_eq!((of("path=\"/checkout\""), of("path=\"/login\"")), (10.0, 11.0), "{calls:?}");
    // The `prometheus` crate gathers these series as one family.
    let gathered = prometheus::gather();
    let family = gathered.iter().filter(|family| family.name() == "shared_request_exceptions_total");
    let counts: Vec<usize> = family.map(|family| family.get_metric().len()).collect();
    assert!(matches!(counts[..], [count] if count >= 3), "{counts:?}");
    // Mixed label names are only a style problem, so a strict server still starts.
    let problems = Registry::global().check();
    let of_family: Vec<_> = problems.iter().filter(|problem| problem.family.starts_with("shared_request_")).collect();
    assert!(!of_family.is_empty());
    assert!(
        of_family.iter().all(|problem| problem.kind == ProblemKind::Style(StyleRule::MixedLabels)),
        "{of_family:?}"
    );
    let catalog = Registry::global().catalog();
    let family = catalog.iter().find(|family| family.name == "shared_request_exceptions_total").expect("declared");
    let mut labels: Vec<&str> = family.labels.iter().map(|label| label.name.as_str()).collect();
    labels.sort_unstable();
    assert_eq!(labels, ["kind", "method", "path"]);
}

#[test]
fn an_absent_label_equals_an_empty_one() {
    #[instrument(path, zone, prefix = "absent")]
    fn in_a_zone(path: &str, zone: &str) -> usize {
        path.len() + zone.len()
    }
    #[instrument(path, prefix = "absent")]
    fn anywhere(path: &str) -> usize {
        path.len()
    }
    in_a_zone("/a", "eu");
    in_a_zone("/a", "");
    in_a_zone("", "");
    anywhere("/a");
    anywhere("/a");
    anywhere("");
    let mut calls: Vec<(Vec<String>, f64)> = exported("absent_request_latency_seconds_count")
        .into_iter()
        .map(|(labels, value)| {
            let labels = labels.split(',').filter(|label| !label.ends_with("=\"\"")).map(str::to_owned);
            (labels.collect(), value)
        })
        .collect();
    calls.sort_by(|one, other| one.0.cmp(&other.0));
    let path = || "path=\"/a\"".to_owned();
    assert_eq!(calls, [(vec![], 2.0), (vec![path()], 3.0), (vec![path(), "zone=\"eu\"".to_owned()], 1.0)]);
}

#[test]
fn equal_series_of_exceptions_gauges_and_histograms_are_added_up() {
    #[instrument(path, zone, in_flight, buckets(1.0), prefix = "added")]
    fn in_a_zone(path: &str, zone: &str) -> Result<usize, ()> {
        if zone.is_empty() { Err(()) } else { Ok(path.len()) }
    }
    #[instrument(path, in_flight, buckets(1.0), prefix = "added")]
    fn anywhere(path: &str) -> Result<usize, ()> {
        if path.is_empty() { Ok(0) } else { Err(()) }
    }
    anywhere("/a").expect_err("fails");
    in_a_zone("/a", "").expect_err("fails");
    in_a_zone("/a", "").expect_err("fails");
    for name in ["added_request_exceptions_total", "added_request_latency_seconds_count"] {
        assert_eq!(exported(name).iter().map(|(_, value)| *value).collect::<Vec<_>>(), [3.0], "{name}");
    }
    let buckets = exported("added_request_latency_seconds_bucket");
    assert_eq!(buckets.iter().map(|(_, value)| *value).collect::<Vec<_>>(), [3.0, 3.0], "{buckets:?}");
    assert_eq!(exported("added_requests_in_flight").len(), 1);
}

#[test]
fn labels_match_a_family_by_name() {
    lazy_static::lazy_static! {
        static ref LATENCY: metrics_core::Family<Summary, 2> =
            Summary::builder("met_seconds", "Latency.").labels(["path", "method"]).register();
    }
    #[instrument(method, path, latency = LATENCY, prefix = "met")]
    fn first(path: &str, method: &str) -> usize {
        path.len() + method.len()
    }
    #[instrument(path, method, prefix = "met")]
    fn second(path: &str, method: &str) -> usize {
        path.len() + method.len()
    }
    #[instrument(method, path, prefix = "met")]
    fn third(path: &str, method: &str) -> usize {
        path.len() + method.len()
    }
    for call in [first, second, third] {
        call("/x", "GET");
    }
    assert_eq!(sample("met_seconds_count{path=\"/x\",method=\"GET\"}"), Some(1.0));
    let met: Vec<String> = Registry::global()
        .to_text()
        .lines()
        .filter(|line| line.starts_with("met_request_latency_seconds_count"))
        .map(str::to_owned)
        .collect();
    assert_eq!(met.len(), 1, "{met:?}");
    assert!(met[0].ends_with(" 2"), "{met:?}");
    assert!(!Registry::global().check().iter().any(|problem| problem.family.starts_with("met_")));
}

#[test]
fn families_with_other_labels_are_a_problem_and_calls_still_run() {
    lazy_static::lazy_static! {
        static ref LATENCY: metrics_core::Family<Summary, 1> =
            Summary::builder("unfit_seconds", "").labels(["route"]).register();
    }
    #[instrument(path, latency = LATENCY, prefix = "unfit")]
    fn call(path: &str) -> usize {
        path.len()
    }
    assert_eq!(call("/x"), 2);
    let problems = Registry::global().check();
    let problem = problems.iter().find(|problem| problem.family == "unfit_request_latency_seconds").expect("a problem");
    assert!(problem.to_string().contains("[\"route\"]") && problem.to_string().contains("[\"path\"]"), "{problem}");
    assert_eq!(LATENCY.len(), 0);
}

#[test]
fn families_of_a_call_with_other_labels_are_a_problem_once() {
    struct Worker(metrics_core::Family<Summary, 1>);
    impl Worker {
        #[instrument(path, latency = self.0, prefix = "unfitcall")]
        fn call(&self, path: &str) -> usize {
            path.len()
        }
    }
    let worker = Worker(Summary::builder("unfitcall_seconds", "").labels(["route"]).build());
    for _ in 0..3 {
        assert_eq!(worker.call("/x"), 2);
    }
    let problems = Registry::global().check();
    let of_this = problems.iter().filter(|problem| problem.family == "unfitcall_request_latency_seconds");
    assert_eq!(of_this.count(), 1);
    assert!(worker.0.is_empty());
}

#[test]
fn a_callback_may_use_the_registry_when_it_is_dropped() {
    struct Registers(Registry);
    impl Drop for Registers {
        fn drop(&mut self) {
            Counter::builder("dropped_total", "").register_in(&self.0).expect("not locked");
        }
    }
    let registry = Registry::new();
    let registers = Registers(registry.clone());
    let value = move || f64::from(u8::from(!registers.0.to_text().is_empty()));
    Gauge::builder("asked", "").register_callback_in(&registry, value).expect("valid");
    assert!(registry.unregister("asked"));
    assert!(registry.to_text().contains("dropped_total 0\n"));
}

#[test]
fn callbacks_run_at_each_scrape_and_their_panics_do_not_affect_others() {
    let registry = Registry::new();
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = std::sync::Arc::clone(&calls);
    Counter::builder("asked_total", "")
        .register_callback_in(&registry, move || count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1)
        .expect("valid");
    Gauge::builder("bad", "").register_callback_in(&registry, || panic!("a callback")).expect("valid");
    Gauge::builder("good", "").register_callback_in(&registry, || 2.5).expect("valid");
    let before = internal_errors("collector_panic");
    assert!(registry.to_text().contains("asked_total 1\n"));
    let text = registry.to_text();
    assert!(text.contains("asked_total 2\n") && text.contains("\ngood 2.5\n") && !text.contains("bad"), "{text}");
    assert!(internal_errors("collector_panic") >= before + 2.0);
    assert!(Gauge::builder("good", "").register_callback_in(&registry, || 1.0).is_err());
    assert!(Gauge::builder("good", "").register_in(&registry).is_err());
}

#[test]
fn closed_label_sets_are_0_even_if_the_family_was_open() {
    #[derive(Clone, Copy, LabelValue)]
    enum Queue {
        Mails,
        Orders,
    }
    #[derive(Metrics)]
    struct Jobs {
        /// Jobs.
        #[metric(labels(queue: Queue), max_series = 3)]
        jobs_total: Family<Counter, 1>,
    }
    let registry = Registry::new();
    let open =
        Counter::builder("jobs_total", "Jobs.").labels(["queue"]).max_series(1).register_in(&registry).expect("valid");
    open.labels(["by_hand"]).inc();
    let jobs = Jobs::register_in(&registry).expect("the same");
    let head = "# HELP jobs_total Jobs.\n# TYPE jobs_total counter\njobs_total{queue=\"by_hand\"} 1\n";
    let at_0 = "jobs_total{queue=\"mails\"} 0\njobs_total{queue=\"orders\"} 0\n";
    assert_eq!(registry.to_text(), format!("{head}{at_0}"));
    assert_eq!(registry.catalog()[0].labels[0].known_values, ["mails", "orders"]);
    jobs.jobs_total(Queue::Orders).inc_by(2);
    jobs.jobs_total(Queue::Mails).inc();
    assert_eq!([open.labels(["orders"]).value(), open.labels(["mails"]).value()], [2.0, 1.0]);
}

//! Exemplars: when they are taken, how the formats show them, and invalid ones.
//!
//! An exemplar is skipped if another thread keeps its shard locked, so only one test runs at a time.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::task::{Context, Poll, Waker};

use metrics_core::{Counter, Format, Histogram, Registry, current_exemplar, instrument, set_exemplar_source};

fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn internal_errors(kind: &str) -> f64 {
    let text = Registry::global().to_text();
    let series = format!("metrics_core_internal_errors_total{{kind=\"{kind}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok());
    value.expect("all kinds are exported")
}

fn openmetrics(registry: &Registry) -> String {
    let mut out = Vec::new();
    registry.encode(Format::OpenMetrics, &mut out);
    String::from_utf8(out).expect("UTF-8")
}

/// The exemplar on the sample with this name and these labels, without its timestamp.
fn exemplar(text: &str, sample: &str) -> Option<String> {
    let line = text.lines().find(|line| line.strip_prefix(sample).is_some_and(|rest| rest.starts_with(' ')));
    let line = line.unwrap_or_else(|| panic!("{sample} is missing in:\n{text}"));
    let (_, exemplar) = line.split_once(" # ")?;
    let (exemplar, timestamp) = exemplar.rsplit_once(' ').expect("a timestamp");
    let age = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("later").as_secs_f64()
        - timestamp.parse::<f64>().expect("a number");
    assert!((-1.0..600.0).contains(&age), "{line}");
    Some(exemplar.to_owned())
}

#[test]
fn counters_and_buckets_show_their_exemplars() {
    let _turn = one_at_a_time();
    let registry = Registry::new();
    let jobs = Counter::builder("jobs_total", "Jobs.").register_in(&registry).expect("valid");
    let sizes = Histogram::builder("size_bytes", "Sizes.").buckets([1.0, 2.0]).register_in(&registry).expect("valid");
    jobs.inc_by_with_exemplar(2.5, || [("trace_id", "a"), ("user", "\"\\\n")]);
    sizes.observe_with_exemplar(1.5, || [("trace_id", "b")]);
    sizes.observe_with_exemplar(7, || [("n", 3)]);
    let text = openmetrics(&registry);
    let expected = r#"{trace_id="a",user="\"\\\n"} 2.5"#;
    assert_eq!(exemplar(&text, "jobs_total").as_deref(), Some(expected));
    assert_eq!(exemplar(&text, r#"size_bytes_bucket{le="1.0"}"#), None);
    assert_eq!(exemplar(&text, r#"size_bytes_bucket{le="2.0"}"#).as_deref(), Some(r#"{trace_id="b"} 1.5"#));
    assert_eq!(exemplar(&text, r#"size_bytes_bucket{le="+Inf"}"#).as_deref(), Some(r#"{n="3"} 7"#));
    assert_eq!(exemplar(&text, "size_bytes_count"), None);
    assert!(!registry.to_text().contains("trace_id"), "the text format has no exemplars");
}

#[test]
fn an_exemplar_on_a_bound_is_in_the_bucket_below() {
    let _turn = one_at_a_time();
    let registry = Registry::new();
    for (name, builder) in
        [("classic", Histogram::builder("classic", "")), ("native", Histogram::builder("native", "").native())]
    {
        let histogram = builder.buckets([-1.0, 0.0, 2.0]).register_in(&registry).expect("valid");
        for value in [-1.0, 0.0, 2.0, 2.5] {
            histogram.observe_with_exemplar(value, || [("of", value.to_string())]);
        }
        let text = openmetrics(&registry);
        for (bound, value) in [("-1.0", "-1"), ("0.0", "0"), ("2.0", "2"), ("+Inf", "2.5")] {
            let expected = format!("{{of=\"{value}\"}} {value}");
            assert_eq!(exemplar(&text, &format!("{name}_bucket{{le=\"{bound}\"}}")), Some(expected));
        }
    }
}

#[test]
fn neighboring_series_have_exemplars_in_all_buckets() {
    let _turn = one_at_a_time();
    let registry = Registry::new();
    let latency =
        Histogram::builder("latency_seconds", "").native().labels(["n"]).register_in(&registry).expect("valid");
    let series: Vec<Histogram> = (0..40).map(|n| latency.labels([&n.to_string()])).collect();
    let values = metrics_core::DEFAULT_BUCKETS.iter().copied().chain([100.0]);
    for value in values.clone() {
        for histogram in &series {
            histogram.observe_with_exemplar(value, || [("of", value.to_string())]);
        }
    }
    let text = openmetrics(&registry);
    assert_eq!(text.lines().filter(|line| line.contains(" # {of=")).count(), 40 * values.count(), "{text}");
}

#[test]
fn a_recent_exemplar_is_kept() {
    let _turn = one_at_a_time();
    let registry = Registry::new();
    let jobs = Counter::builder("jobs_total", "Jobs.").register_in(&registry).expect("valid");
    let asked = Cell::new(0);
    let label = |id| {
        let asked = &asked;
        move || {
            asked.set(asked.get() + 1);
            [("trace_id", id)]
        }
    };
    jobs.inc_with_exemplar(label("first"));
    for _ in 0..1_000 {
        jobs.inc_with_exemplar(label("second"));
    }
    // A thousand increments may take longer than a second on a busy machine, but not ten.
    assert!(asked.get() <= 10, "asked {} times", asked.get());
    // After a second, the next increment replaces the exemplar.
    while exemplar(&openmetrics(&registry), "jobs_total").is_none_or(|exemplar| exemplar.contains("first")) {
        jobs.inc_with_exemplar(label("second"));
    }
    assert_eq!(jobs.value() as u64, openmetrics_value(&registry, "jobs_total"));
}

fn openmetrics_value(registry: &Registry, sample: &str) -> u64 {
    let text = openmetrics(registry);
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ').map(str::to_owned));
    line.expect("a sample").split(' ').next().expect("a value").parse().expect("a whole number")
}

#[test]
fn an_empty_exemplar_does_not_delay_the_next_one() {
    let _turn = one_at_a_time();
    let registry = Registry::new();
    let jobs = Counter::builder("jobs_total", "Jobs.").register_in(&registry).expect("valid");
    jobs.inc_with_exemplar(Vec::<(String, String)>::new);
    assert_eq!(exemplar(&openmetrics(&registry), "jobs_total"), None);
    while exemplar(&openmetrics(&registry), "jobs_total").is_none() {
        jobs.inc_with_exemplar(|| [("trace_id", "a")]);
    }
}

#[test]
fn invalid_labels_cost_the_exemplar_and_nothing_else() {
    let _turn = one_at_a_time();
    let registry = Registry::new();
    let family = Counter::builder("jobs_total", "Jobs.").labels(["case"]).register_in(&registry).expect("valid");
    let before = internal_errors("invalid_exemplar");
    // 8 characters in the name, and 120 or 121 in the value, of two bytes each.
    let (fits, too_long) = ("ü".repeat(120), "ü".repeat(121));
    family.labels(["fits"]).inc_with_exemplar(|| [("trace_id", &fits)]);
    family.labels(["too long"]).inc_with_exemplar(|| [("trace_id", &too_long)]);
    family.labels(["bad name"]).inc_with_exemplar(|| [("trace-id", "a")]);
    family.labels(["twice"]).inc_with_exemplar(|| [("a", "1"), ("a", "2")]);
    family.labels(["empty name"]).inc_with_exemplar(|| [("", "1")]);
    family.labels(["null"]).inc_with_exemplar(|| [("trace_id", "a\0")]);
    family.labels(["endless"]).inc_with_exemplar(|| std::iter::repeat(("trace_id", "a")));
    assert_eq!(internal_errors("invalid_exemplar") - before, 6.0);
    let text = openmetrics(&registry);
    assert_eq!(exemplar(&text, r#"jobs_total{case="fits"}"#), Some(format!("{{trace_id=\"{fits}\"}} 1")));
    for case in ["too long", "bad name", "twice", "empty name", "null", "endless"] {
        assert_eq!(exemplar(&text, &format!("jobs_total{{case=\"{case}\"}}")), None);
        assert_eq!(family.labels([case]).value(), 1.0);
    }
}

#[test]
fn a_closure_that_panics_costs_the_exemplar_and_nothing_else() {
    let _turn = one_at_a_time();
    let registry = Registry::new();
    let sizes = Histogram::builder("size_bytes", "Sizes.").register_in(&registry).expect("valid");
    let before = internal_errors("exemplar_panic");
    sizes.observe_with_exemplar(1, || -> [(&str, &str); 1] { panic!("in the labels of an exemplar") });
    assert_eq!(internal_errors("exemplar_panic") - before, 1.0);
    assert_eq!(sizes.count(), 1);
    assert!(!openmetrics(&registry).contains(" # {"));
}

#[test]
fn an_ignored_value_has_no_exemplar() {
    let _turn = one_at_a_time();
    let registry = Registry::new();
    let sizes = Histogram::builder("size_bytes", "Sizes.").register_in(&registry).expect("valid");
    let jobs = Counter::builder("jobs_total", "Jobs.").register_in(&registry).expect("valid");
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        sizes.observe_with_exemplar(value, || [("trace_id", "a")]);
        jobs.inc_by_with_exemplar(value, || [("trace_id", "a")]);
    }
    jobs.inc_by_with_exemplar(-1, || [("trace_id", "a")]);
    assert_eq!((sizes.count(), jobs.value()), (0, 0.0));
    assert!(!openmetrics(&registry).contains(" # {"));
}

#[test]
fn a_removed_series_takes_its_exemplars_along() {
    let _turn = one_at_a_time();
    let registry = Registry::new();
    let family = Histogram::builder("size_bytes", "Sizes.").labels(["n"]).register_in(&registry).expect("valid");
    family.labels(["1"]).observe_with_exemplar(1, || [("trace_id", "a")]);
    let old = family.labels(["1"]);
    family.remove(["1"]);
    old.observe_with_exemplar(2, || [("trace_id", "b")]);
    // Reuses the slot.
    family.labels(["1"]).observe(1);
    assert!(!openmetrics(&registry).contains(" # {"));
    assert_eq!(family.labels(["1"]).count(), 1);
}

#[test]
fn a_counter_without_the_suffix_has_no_exemplar_in_openmetrics() {
    let _turn = one_at_a_time();
    let registry = Registry::new();
    let jobs = Counter::builder("jobs", "Jobs.").register_in(&registry).expect("valid");
    jobs.inc_with_exemplar(|| [("trace_id", "a")]);
    assert_eq!(exemplar(&openmetrics(&registry), "jobs"), None);
}

thread_local! {
    static TRACE_ID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `f` in a trace with this ID, as seen by the source of exemplars, which all tests share.
fn in_trace<R>(id: &str, f: impl FnOnce() -> R) -> R {
    static SET: Once = Once::new();
    SET.call_once(|| {
        let source = || {
            // A source that asks for itself gets no labels.
            assert_eq!(current_exemplar(), []);
            TRACE_ID.with_borrow(Clone::clone).map(|id| [("trace_id", id)])
        };
        assert!(set_exemplar_source(source));
        assert!(!set_exemplar_source(|| Some([("trace_id", "of another source")])), "only the first source is used");
    });
    TRACE_ID.set(Some(id.to_owned()));
    let result = f();
    TRACE_ID.set(None);
    result
}

#[instrument(histogram, prefix = "exemplars")]
fn traced(fails: bool) -> Result<(), ()> {
    if fails { Err(()) } else { Ok(()) }
}

#[instrument(histogram, prefix = "exemplars")]
async fn traced_future() {
    let mut polls = 0;
    poll_fn(|_| {
        polls += 1;
        if polls == 2 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[instrument(prefix = "plain_exemplars")]
fn traced_summary() -> Result<(), ()> {
    Err(())
}

#[test]
fn annotated_functions_take_exemplars_from_the_current_trace() {
    let _turn = one_at_a_time();
    in_trace("of a call", || traced(true)).unwrap_err();
    in_trace("of a future", || {
        let mut future = pin!(traced_future());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut cx).is_pending());
        assert!(future.as_mut().poll(&mut cx).is_ready());
    });
    in_trace("of a summary", traced_summary).unwrap_err();
    let text = openmetrics(Registry::global());
    let function = |name: &str| format!("function=\"exemplars::{name}\"");
    let counter = |prefix, name| format!("{prefix}_function_exceptions_total{{{}}}", function(name));
    assert_eq!(exemplar(&text, &counter("exemplars", "traced")).as_deref(), Some(r#"{trace_id="of a call"} 1"#));
    assert_eq!(
        exemplar(&text, &counter("plain_exemplars", "traced_summary")).as_deref(),
        Some(r#"{trace_id="of a summary"} 1"#)
    );
    for (name, id) in [("traced", "of a call"), ("traced_future", "of a future")] {
        let buckets = format!("exemplars_function_latency_seconds_bucket{{{},", function(name));
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with(&buckets) && line.contains(" # ")).collect();
        let [line] = lines[..] else { panic!("{lines:?}") };
        assert!(line.contains(&format!("{{trace_id=\"{id}\"}}")), "{line}");
    }
}

#[test]
fn the_current_exemplar_can_be_used_by_hand() {
    let _turn = one_at_a_time();
    let registry = Registry::new();
    let jobs = Counter::builder("jobs_total", "Jobs.").register_in(&registry).expect("valid");
    in_trace("by hand", || jobs.inc_with_exemplar(current_exemplar));
    assert_eq!(exemplar(&openmetrics(&registry), "jobs_total").as_deref(), Some(r#"{trace_id="by hand"} 1"#));
    assert_eq!(current_exemplar(), []);
}

//! The places where the attribute is allowed, and the families that annotated functions update.

use std::sync::OnceLock;

use metrics_core::{Counter, Family, Gauge, Histogram, Registry, Summary, instrument};

use crate::{internal_errors, sample};

struct Api {
    entries: Vec<u32>,
}

trait Load {
    fn load(&self) -> usize;

    #[instrument]
    fn load_twice(&self) -> usize {
        self.load() * 2
    }
}

impl Api {
    #[instrument]
    fn entry(&mut self, at: usize) -> Option<&mut u32> {
        self.entries.get_mut(at)
    }

    #[instrument]
    fn first<'a>(&'a self, default: &'a u32) -> &'a u32 {
        self.entries.first().unwrap_or(default)
    }

    #[instrument]
    async fn fetch(&self) -> usize {
        self.entries.len()
    }

    #[instrument]
    fn into_entries(self) -> Vec<u32> {
        self.entries
    }
}

impl Load for Api {
    #[instrument]
    fn load(&self) -> usize {
        self.entries.len()
    }
}

#[instrument]
fn free(mut number: u32) -> u32 {
    number += 1;
    number
}

#[instrument]
fn generic<T, const N: usize>() -> [T; N]
where
    T: Copy + Default,
{
    [T::default(); N]
}

#[tokio::test]
async fn functions_without_labels_are_named_by_their_path() {
    let mut api = Api { entries: vec![1, 2] };
    *api.entry(0).expect("there") += 1;
    assert_eq!(api.first(&7), &2);
    assert_eq!(api.fetch().await, 2);
    assert_eq!(api.load(), 2);
    assert_eq!(api.load_twice(), 4);
    assert_eq!(api.into_entries(), [2, 2]);
    assert_eq!(free(1), 2);
    assert_eq!(generic::<u8, 2>(), [0, 0]);
    assert_eq!(generic::<u16, 1>(), [0]);
    for (function, calls) in [
        ("Api::entry", 1.0),
        ("Api::first", 1.0),
        ("Api::fetch", 1.0),
        ("Api::load", 2.0),
        ("Load::load_twice", 1.0),
        ("Api::into_entries", 1.0),
        ("free", 1.0),
        ("generic", 2.0),
    ] {
        let series = format!(
            "integration_function_latency_seconds_count{{function=\"integration::instrument_sites::{function}\"}}"
        );
        assert_eq!(sample(&series), Some(calls), "{series}\n{}", Registry::global().to_text());
    }
    let cancelled = "integration_function_cancelled_total{function=\"integration::instrument_sites::Api::fetch\"}";
    assert_eq!(sample(cancelled), Some(0.0));
}

lazy_static::lazy_static! {
    static ref LATENCY: Family<Histogram, 2> =
        Histogram::builder("own_latency_seconds", "").labels(["path", "method"]).buckets([1.0]).register();
    static ref EXCEPTIONS: Family<Counter, 2> =
        Counter::builder("own_exceptions_total", "").labels(["path", "method"]).register();
    static ref CANCELLED: Family<Counter, 2> =
        Counter::builder("own_cancelled_total", "").labels(["path", "method"]).register();
    static ref IN_FLIGHT: Family<Gauge, 2> =
        Gauge::builder("own_in_flight", "").labels(["path", "method"]).register();
}

#[instrument(
    path in ["/a"], method = "GET",
    latency = LATENCY, exceptions = EXCEPTIONS, cancelled = CANCELLED, in_flight = IN_FLIGHT
)]
async fn own_families(path: &str) -> Result<(), ()> {
    assert_eq!(sample("own_in_flight{path=\"/a\",method=\"GET\"}"), Some(1.0));
    if path == "/a" { Err(()) } else { Ok(()) }
}

#[tokio::test]
async fn custom_families_are_used() {
    metrics_core::init();
    let text = Registry::global().to_text();
    for name in ["own_latency_seconds_count", "own_exceptions_total", "own_cancelled_total", "own_in_flight"] {
        for path in ["/a", "other"] {
            assert!(text.contains(&format!("\n{name}{{path=\"{path}\",method=\"GET\"}} 0\n")), "{name} {path}\n{text}");
        }
    }
    assert!(own_families("/a").await.is_err());
    assert_eq!(sample("own_latency_seconds_bucket{path=\"/a\",method=\"GET\",le=\"1\"}"), Some(1.0));
    assert_eq!(sample("own_exceptions_total{path=\"/a\",method=\"GET\"}"), Some(1.0));
    assert_eq!(sample("own_in_flight{path=\"/a\",method=\"GET\"}"), Some(0.0));
    assert_eq!(sample("integration_request_latency_seconds_count{path=\"/a\"}"), None);
}

#[test]
fn families_of_self_are_used_by_each_call() {
    struct Worker {
        latency: Family<Summary, 1>,
        failures: Counter,
    }
    impl Worker {
        #[instrument(kind, latency = self.latency, prefix = "worker")]
        fn run(&self, kind: &str) -> Result<usize, ()> {
            if kind == "bad" { Err(()) } else { Ok(kind.len()) }
        }

        #[instrument(exceptions = self.failures, prefix = "worker")]
        fn fail(&self) -> Result<(), ()> {
            Err(())
        }
    }
    let worker = || Worker {
        latency: Summary::builder("worker_seconds", "").labels(["kind"]).build(),
        failures: Counter::builder("worker_failures_total", "").build(),
    };
    let (one, other) = (worker(), worker());
    one.run("x").ok();
    one.run("x").ok();
    other.run("bad").ok();
    one.fail().ok();
    assert_eq!(one.latency.labels(["x"]).count(), 2);
    assert!(other.latency.get(["x"]).is_none());
    assert_eq!(other.latency.labels(["bad"]).count(), 1);
    // Without an explicit family, a call is recorded in the default family.
    assert_eq!(sample("worker_request_exceptions_total{kind=\"bad\"}"), Some(1.0));
    assert_eq!((one.failures.value(), other.failures.value()), (1.0, 0.0));
}

#[test]
fn each_call_uses_its_own_families_of_self_despite_caching() {
    struct Worker {
        latency: Family<Summary, 1>,
        failures: Family<Counter, 1>,
    }
    impl Worker {
        #[instrument(path, latency = self.latency, exceptions = self.failures)]
        fn all(&self, path: &str) -> Result<(), ()> {
            Err(())
        }

        #[instrument(path, latency = self.latency, prefix = "mixed_self", max_series = 2)]
        fn latency(&self, path: &str) {}
    }
    let worker = || Worker {
        latency: Summary::builder("cached_seconds", "").labels(["path"]).max_series(4).build(),
        failures: Counter::builder("cached_failures_total", "").labels(["path"]).max_series(2).build(),
    };
    let workers = [worker(), worker(), worker()];
    let count = |worker: &Worker, path: &str| worker.latency.get([path]).map_or(0, |summary| summary.count());
    let failures = |worker: &Worker, path: &str| worker.failures.get([path]).map_or(0.0, |counter| counter.value());
    for round in 1..=10_u32 {
        for (times, worker) in (1..).zip(&workers) {
            for _ in 0..times {
                worker.all("/a").ok();
                worker.all("/b").ok();
                // `failures` is at its cap, so both families use their overflow series.
                worker.all("/c").ok();
            }
            let expected = u64::from(round * times);
            let counts = ["/a", "/b", "/c", "__overflow__"].map(|path| count(worker, path));
            assert_eq!(counts, [expected, expected, 0, expected]);
            assert!(worker.latency.get(["/c"]).is_none(), "a series that no call uses");
            let expected = f64::from(round * times);
            assert_eq!(["/a", "/c", "__overflow__"].map(|path| failures(worker, path)), [expected, 0.0, expected]);
        }
    }
    // A removed series starts at 0, and makes room for a label set that was beyond the cap.
    let [one, other, _] = &workers;
    assert!(one.failures.remove(["/a"]));
    one.all("/c").ok();
    one.all("/a").ok();
    assert_eq!(["/a", "/b", "/c", "__overflow__"].map(|path| failures(one, path)), [0.0, 10.0, 1.0, 11.0]);
    assert!(other.latency.remove(["/b"]));
    other.all("/b").ok();
    assert_eq!(["/a", "/b"].map(|path| count(other, path)), [20, 1]);

    // A family that is not evaluated by each call is at its cap.
    for _ in 0..3 {
        ["/a", "/b", "/c"].into_iter().for_each(|path| one.latency(path));
    }
    let overflowed = "metrics_core_overflowed_total{family=\"mixed_self_request_exceptions_total\"}";
    assert_eq!(sample(overflowed), Some(3.0));
    assert_eq!(["/c", "__overflow__"].map(|path| count(one, path)), [1, 10 + 1 + 3]);
}

lazy_static::lazy_static! {
    static ref ALONE: Summary = Summary::builder("alone_seconds", "").register();
    static ref ALONE_FAILURES: Counter = Counter::builder("alone_failures_total", "").register();
}

#[test]
fn metrics_without_labels_are_used() {
    #[instrument(latency = ALONE, exceptions = ALONE_FAILURES)]
    fn call(fails: bool) -> Result<(), ()> {
        if fails { Err(()) } else { Ok(()) }
    }
    for fails in [true, false, true] {
        call(fails).ok();
    }
    assert_eq!((ALONE.count(), ALONE_FAILURES.value()), (3, 2.0));
}

#[test]
fn functions_made_by_macros_are_measured() {
    macro_rules! handler {
        ($name:ident, $path:literal, $prefix:literal, $most:literal, $body:block) => {
            #[instrument($path, prefix = $prefix, max_series = $most, buckets(0.5, 1))]
            fn $name() -> u8 $body
        };
    }
    handler!(made, "/made", "made", 10, { 1 });
    assert_eq!(sample("made_request_latency_seconds_count{path=\"/made\"}"), Some(0.0));
    assert_eq!(made(), 1);
    assert_eq!(sample("made_request_latency_seconds_count{path=\"/made\"}"), Some(1.0));
}

trait Fetch {
    async fn fetch(&self, key: &str) -> Result<usize, ()>;
}

impl Fetch for Api {
    #[instrument(key, prefix = "asynctrait")]
    async fn fetch(&self, key: &str) -> Result<usize, ()> {
        tokio::task::yield_now().await;
        key.parse().map_err(drop)
    }
}

#[instrument("/unsafe", prefix = "special")]
#[allow(unsafe_code, reason = "tests that an unsafe function can be annotated")]
unsafe fn not_safe(number: u8) -> u8 {
    number
}

#[instrument("/c", prefix = "special")]
extern "C" fn for_c(number: u8) -> u8 {
    number
}

#[instrument("/never", prefix = "special")]
async fn never() -> ! {
    loop {
        std::future::pending::<()>().await;
    }
}

#[instrument("/nested", prefix = "special")]
fn nested() -> Box<dyn Iterator<Item = impl std::fmt::Debug>> {
    Box::new(std::iter::once(1))
}

#[tokio::test]
async fn special_functions_are_measured() {
    let api = Api { entries: Vec::new() };
    assert_eq!(Fetch::fetch(&api, "7").await, Ok(7));
    assert_eq!(sample("asynctrait_request_latency_seconds_count{key=\"7\"}"), Some(1.0));
    #[allow(unsafe_code, reason = "tests that an unsafe function can be annotated")]
    // SAFETY: the function has no safety requirements.
    let number = unsafe { not_safe(1) };
    assert_eq!(number + for_c(2), 3);
    assert_eq!(nested().count(), 1);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(1), never()).await.is_err());
    for path in ["/unsafe", "/c", "/nested", "/never"] {
        let count = format!("special_request_latency_seconds_count{{path=\"{path}\"}}");
        assert_eq!(sample(&count), Some(1.0), "{path}");
    }
    assert_eq!(sample("special_request_cancelled_total{path=\"/never\"}"), Some(1.0));
    assert_eq!(sample("special_request_exceptions_total{path=\"/never\"}"), Some(0.0));
}

#[test]
fn families_that_are_arguments_are_used() {
    #[instrument(kind, latency = latency, exceptions = metrics.1, prefix = "argument")]
    fn run(kind: &str, latency: &Family<Summary, 1>, metrics: &(u8, Family<Counter, 1>)) -> Result<u8, ()> {
        if kind.is_empty() { Err(()) } else { Ok(metrics.0) }
    }
    let latency = Summary::builder("argument_seconds", "").labels(["kind"]).build();
    let failures = Counter::builder("argument_failures_total", "").labels(["kind"]).build();
    let metrics = (7, failures.clone());
    assert_eq!(run("x", &latency, &metrics), Ok(7));
    assert_eq!(run("", &latency, &metrics), Err(()));
    assert_eq!(latency.labels([""]).count() + latency.labels(["x"]).count(), 2);
    assert_eq!(failures.labels([""]).value(), 1.0);
}

#[test]
fn a_default_latency_with_buckets_is_a_histogram() {
    #[instrument("/x", buckets(0.5, 1, 2.5), prefix = "bucketed")]
    fn call() {}
    call();
    let text = Registry::global().to_text();
    assert!(text.contains("# TYPE bucketed_request_latency_seconds histogram\n"), "{text}");
    for bound in ["0.5", "1", "2.5", "+Inf"] {
        assert_eq!(
            sample(&format!("bucketed_request_latency_seconds_bucket{{path=\"/x\",le=\"{bound}\"}}")),
            Some(1.0)
        );
    }
}

#[test]
fn a_renamed_dependency_is_named_by_crate() {
    use metrics_core as renamed;
    #[renamed::instrument("/x", prefix = "renamed", crate = renamed)]
    fn call() -> u8 {
        1
    }
    assert_eq!(call(), 1);
    assert_eq!(sample("renamed_request_latency_seconds_count{path=\"/x\"}"), Some(1.0));
}

#[test]
fn a_metric_with_the_name_of_a_default_family_but_another_type_is_a_problem_that_names_both() {
    #[instrument("/a", prefix = "typed")]
    fn call() {}
    let _gauge = Gauge::builder("typed_request_latency_seconds", "A gauge.").labels(["path"]).register();
    call();
    let problems = Registry::global().check();
    let problem = problems.iter().find(|problem| problem.family == "typed_request_latency_seconds");
    let problem = problem.expect("a problem").to_string();
    assert_eq!(problem.matches("instrument_sites.rs:").count(), 2, "{problem}");
    // Another test may have registered the function's families first.
    if problem.contains("summary here") {
        let remedy = "; make them equal, set another `prefix`, or name a family with `latency`";
        assert!(problem.ends_with(remedy), "{problem}");
        assert!(internal_errors("instrument_conflict") >= 1.0);
    }
}

#[test]
fn a_call_that_began_without_its_family_changes_no_other_series() {
    static LATENCY: OnceLock<Family<Histogram, 1>> = OnceLock::new();
    #[instrument(path, latency = LATENCY.get().expect("a family"), prefix = "premature")]
    fn route(path: &str, during: impl FnOnce()) {
        during();
    }
    let mut others = Vec::new();
    route("/a", || {
        // The series of the call has no buckets, and these are next to it.
        others.extend((0..64).map(|n| Counter::builder(format!("next_{n}_total"), "").build()));
        others.iter().for_each(|counter| counter.inc());
        let latency = Histogram::builder("premature_seconds", "").labels(["path"]).build();
        assert!(LATENCY.set(latency).is_ok());
        // After a panic, the expression is evaluated by later calls, but not by each of them.
        while LATENCY.get().and_then(|latency| latency.get(["/a"])).is_none() {
            route("/a", || ());
        }
    });
    assert!(others.iter().all(|counter| counter.value() == 1.0));
    assert_eq!(LATENCY.get().and_then(|latency| latency.get(["/a"])).map(|latency| latency.count()), Some(1));
}

//! A process that is scraped before it is ready.
//!
//! Scrapes do not evaluate user expressions. An expression that panics is evaluated again later.

use std::collections::BTreeMap;
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::thread::{self, ThreadId};

use metrics_core::testing::Snapshot;
use metrics_core::{Exposition, Family, HttpServer, Registry, ServeError, Summary, instrument};

static ROUTES: OnceLock<Vec<String>> = OnceLock::new();
static EVALUATED: AtomicUsize = AtomicUsize::new(0);

fn routes() -> &'static [String] {
    EVALUATED.fetch_add(1, Ordering::SeqCst);
    ROUTES.get().expect("the routes are set")
}

#[instrument(path in routes(), prefix = "early")]
fn by_route(path: &str) -> usize {
    path.len()
}

static LATENCY: OnceLock<Family<Summary, 1>> = OnceLock::new();

#[instrument(path = "/x", latency = LATENCY.get().expect("the family is set"), prefix = "late_family")]
fn into_a_family() {}

static OWNER: OnceLock<ThreadId> = OnceLock::new();
static HANDLERS: LazyLock<BTreeMap<&str, u8>> = LazyLock::new(|| {
    // Panics on other threads, like an initializer that needs the main thread's runtime.
    assert_eq!(OWNER.get(), Some(&thread::current().id()), "initialized on another thread");
    BTreeMap::from([("/lazy", 1)])
});

#[instrument(path in HANDLERS.keys(), prefix = "lazy")]
fn handle(path: &str) -> Option<u8> {
    HANDLERS.get(path).copied()
}

#[instrument("/literal", prefix = "literal")]
#[expect(dead_code, reason = "it is exported although it is never called")]
fn literal() {}

/// A list that is set only after the first call to `called_early`.
static LATER: OnceLock<Vec<String>> = OnceLock::new();

#[instrument(path in LATER.get().expect("the list is set"), prefix = "called_early")]
fn called_early(path: &str) -> usize {
    path.len()
}

fn value(sample: &str) -> Option<f64> {
    let text = Registry::global().to_text();
    text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn a_service_that_is_scraped_before_it_is_ready_loses_nothing() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    OWNER.set(thread::current().id()).expect("once");

    // Scrape in several ways, on other threads and on this thread.
    thread::spawn(|| Registry::global().to_text()).join().expect("no panic");
    thread::spawn(metrics_core::prometheus::gather).join().expect("no panic");
    let _ = Snapshot::of(Registry::global());
    assert_eq!(EVALUATED.load(Ordering::SeqCst), 0, "a scrape evaluated a list");
    assert_eq!(value("literal_request_latency_seconds_count{path=\"/literal\"}"), Some(0.0));
    assert_eq!(value("lazy_request_latency_seconds_count{path=\"/lazy\"}"), None);

    // A call evaluates the list. If the evaluation panics, the call counts as `other`.
    called_early("/a");
    assert_eq!(value("called_early_request_latency_seconds_count{path=\"other\"}"), Some(1.0));
    LATER.set(vec!["/a".to_owned()]).expect("once");
    called_early("/a");
    assert_eq!(value("called_early_request_latency_seconds_count{path=\"/a\"}"), Some(1.0));

    // Exposing metrics evaluates expressions on the caller's thread. Expressions that panic are reported as problems
    // until they succeed.
    let _exposition = Exposition::new();
    assert!(EVALUATED.load(Ordering::SeqCst) > 0);
    assert_eq!(value("lazy_request_latency_seconds_count{path=\"/lazy\"}"), Some(0.0));
    let refused = HttpServer::builder().strict(true).start("127.0.0.1:0").expect_err("two expressions panic");
    let ServeError::Problems(problems) = &refused else { panic!("{refused}") };
    let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    let why = "panicked; it is evaluated again by later calls and by `metrics_core::init`";
    assert!(messages.contains(&format!("the list after `in` {why}").as_str()), "{messages:?}");
    assert!(messages.contains(&format!("the expression of a family {why}").as_str()), "{messages:?}");

    let family = Summary::builder("late_seconds", "Set late.").labels(["path"]).register();
    LATENCY.set(family).expect("once");
    ROUTES.set(vec!["/a".to_owned(), "/b".to_owned()]).expect("once");
    metrics_core::init();
    assert_eq!(value("early_request_latency_seconds_count{path=\"/b\"}"), Some(0.0));
    assert_eq!(value("late_seconds_count{path=\"/x\"}"), Some(0.0));
    assert_eq!(Registry::global().check(), []);
    assert_eq!(value("metrics_core_problems"), Some(0.0));

    by_route("/a");
    by_route("/c");
    into_a_family();
    assert_eq!(handle("/lazy"), Some(1));
    assert_eq!(value("early_request_latency_seconds_count{path=\"/a\"}"), Some(1.0));
    assert_eq!(value("early_request_latency_seconds_count{path=\"other\"}"), Some(1.0));
    assert_eq!(value("late_seconds_count{path=\"/x\"}"), Some(1.0));
    assert_eq!(value("lazy_request_latency_seconds_count{path=\"/lazy\"}"), Some(1.0));
    panic::set_hook(hook);
}

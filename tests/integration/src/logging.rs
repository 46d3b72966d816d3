//! The content and frequency of log messages, and loggers that use our metrics or panic.

use std::error::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use lazy_static::lazy_static;
use log::{Log, Metadata, Record};
use metrics_core::{Collect, Counter, Family, FamilyInfo, Gauge, Kind, Labels, PushContext, PushTarget, Pusher};
use metrics_core::{Registry, Summary, Value, Visitor};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

lazy_static! {
    static ref LOGGED: Family<Counter, 1> =
        Counter::builder("logged_lines_total", "Lines that were logged.").labels(["level"]).register();
}

/// Keeps all lines, counts them in one of our metrics, panics on lines about `panics_total`, and registers a metric of
/// the `prometheus` crate for lines about a family that needs it.
struct Logger;

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = record.args().to_string();
        LOGGED.labels([record.level().as_str()]).inc();
        let panics = line.contains("panics_total");
        if line.contains("needs prometheus") {
            let theirs = prometheus::IntCounter::new("logged_total", "Theirs.").expect("valid");
            prometheus::register(Box::new(theirs)).expect("free");
        }
        LINES.lock().expect("no panic").push(line);
        assert!(!panics, "this logger cannot log this line");
    }

    fn flush(&self) {}
}

/// A collector that fails with a different error each time.
struct Fails(AtomicU64);

impl Collect for Fails {
    fn names(&self) -> Vec<String> {
        vec!["pool".to_owned()]
    }

    fn collect(&self, _: &mut dyn Visitor) -> Result<(), Box<dyn Error + Send + Sync>> {
        Err(format!("no answer to request {}", self.0.fetch_add(1, Ordering::Relaxed)).into())
    }
}

/// A push target that fails with one error, fails with another, succeeds, fails again, and then succeeds.
struct FailsInTurn(u32, Sender<()>);

impl PushTarget for FailsInTurn {
    fn name(&self) -> &'static str {
        "in_turn"
    }

    fn push(&mut self, push: &PushContext<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0 += 1;
        match self.0 {
            1..=5 | 16..=20 => return Err("nobody is there".into()),
            6..=9 => return Err("somebody does not answer".into()),
            10..=15 => {
                push.skip("is odd", "one");
                push.skip("is odd", "another");
            }
            _ => self.1.send(()).unwrap_or_default(),
        }
        Ok(())
    }
}

fn lines(part: &str) -> usize {
    LINES.lock().expect("no panic").iter().filter(|line| line.contains(part)).count()
}

/// A collector whose family has an invalid name.
struct Invalid;

impl Collect for Invalid {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn collect(&self, visitor: &mut dyn Visitor) -> Result<(), Box<dyn Error + Send + Sync>> {
        visitor.family(&FamilyInfo::new("needs prometheus", "", Kind::Gauge));
        visitor.series(Labels::default(), &Value::Gauge(1.0));
        Ok(())
    }
}

/// A push target that skips a sample and then fails.
struct Once;

impl PushTarget for Once {
    fn name(&self) -> &'static str {
        "one_shot"
    }

    fn push(&mut self, push: &PushContext<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
        push.skip("is odd", "this");
        Err("nobody is there".into())
    }
}

#[test]
fn each_cause_is_logged_once_and_the_logger_may_count() {
    log::set_logger(&Logger).expect("the first");
    log::set_max_level(log::LevelFilter::Info);
    // A scrape detects a clash with a third-party family. Logging the clash registers the logger's counter.
    Summary::builder("clashing", "").register();
    let theirs = prometheus::IntCounter::new("clashing_sum", "Theirs.").expect("valid");
    prometheus::register(Box::new(theirs)).expect("free there");
    for _ in 0..3 {
        let _ = Registry::global().to_text();
    }
    assert_eq!(lines("clashing_sum"), 1);

    let spoilt = Counter::builder("spoilt_total", "").build();
    for _ in 0..5 {
        spoilt.inc_by(f64::NAN);
    }
    assert_eq!(lines("a counter ignored"), 1, "{:?}", LINES.lock());
    spoilt.inc_by(-1);
    assert_eq!(lines("a counter ignored"), 2, "{:?}", LINES.lock());

    for _ in 0..3 {
        Counter::builder("conflicting_total", "One.").register();
        Counter::builder("conflicting_total", "Other.").register();
    }
    assert_eq!(lines("conflicting_total is registered with another help"), 1);

    // A logger that panics does not affect its callers.
    Counter::builder("panics_total", "").register();
    Gauge::builder("panics_total", "").register().inc();
    assert_eq!(lines("panics_total"), 1);
    let text = Registry::global().to_text();
    assert!(text.contains("logged_lines_total{level=\"WARN\"} 3\n"), "{text}");
    assert!(text.contains("logged_lines_total{level=\"ERROR\"} 2\n"), "{text}");

    let registry = Registry::new();
    registry.register_collector(Fails(AtomicU64::new(0))).expect("valid");
    for _ in 0..3 {
        assert_eq!(registry.to_text(), "");
    }
    assert_eq!(lines("no answer to request 0"), 1, "{:?}", LINES.lock());
    assert_eq!(lines("no answer to request"), 1, "{:?}", LINES.lock());

    let (over, is_over) = channel();
    let pusher = Pusher::builder(FailsInTurn(0, over)).interval(Duration::from_millis(2)).start().expect("a thread");
    is_over.recv().expect("it succeeds eventually");
    pusher.shutdown().expect("it works");
    let said: Vec<String> =
        LINES.lock().expect("no panic").iter().filter(|line| line.contains("in_turn")).cloned().collect();
    let expected = [
        "in_turn: nobody is there (logged once; retrying)",
        "in_turn: somebody does not answer (logged once; retrying)",
        "in_turn: skips one, which is odd (logged once)",
        "in_turn: push succeeded after 9 failures",
        "in_turn: nobody is there (logged once; retrying)",
        "in_turn: push succeeded after 5 failures",
    ];
    assert_eq!(said, expected);

    // `prometheus::gather` locks its registry, and a logger may need that lock.
    let gathered = Registry::new();
    gathered.register_collector(Invalid).expect("valid");
    prometheus::register(Box::new(gathered)).expect("free");
    let (over, is_over) = channel();
    thread::spawn(move || over.send(prometheus::gather()));
    is_over.recv_timeout(Duration::from_secs(30)).expect("no deadlock");
    let begin = Instant::now();
    while lines("needs prometheus") == 0 {
        assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", LINES.lock());
        thread::yield_now();
    }

    // A single push returns its error instead of logging it. Skipped samples are logged only the first time.
    for _ in 0..3 {
        Pusher::builder(Once).push().expect_err("it fails");
    }
    assert_eq!(lines("one_shot"), 1, "{:?}", LINES.lock());
    assert_eq!(lines("one_shot: skips this, which is odd (logged once)"), 1);
}

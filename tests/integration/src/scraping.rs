//! Threads that create, write or remove series during a scrape do not wait for the scrape to end.

use std::collections::HashSet;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use metrics_core::{Counter, Family, FamilyInfo, Labels, Number, Registry, Summary, Value, Visitor, instrument};

const SERIES: usize = 5_000;

fn family(registry: &Registry) -> Family<Counter, 1> {
    let builder = Counter::builder("many_total", "").labels(["n"]).max_series(2 * SERIES);
    let family = builder.register_in(registry).expect("the registry is new");
    for n in 0..SERIES {
        family.labels([&n.to_string()]).inc();
    }
    family
}

/// Runs a function on another thread in the middle of a scrape and waits until the function returns.
struct Interrupted<F> {
    seen: HashSet<String>,
    meanwhile: F,
}

impl<F: FnMut() + Send> Visitor for Interrupted<F> {
    fn family(&mut self, _: &FamilyInfo<'_>) {}

    fn series(&mut self, labels: Labels<'_>, _: &Value<'_>) {
        let value = labels.iter().map(|(_, value)| value.into_owned()).collect();
        assert!(self.seen.insert(value), "a series is visited twice");
        if self.seen.len() != SERIES / 2 {
            return;
        }
        let (done, is_done) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                (self.meanwhile)();
                done.send(()).expect("the scrape waits");
            });
            is_done.recv_timeout(Duration::from_secs(20)).expect("no thread waits for a scrape");
        });
    }
}

#[test]
fn a_series_is_created_during_a_scrape() {
    let registry = Registry::new();
    let family = family(&registry);
    let mut scrape = Interrupted { seen: HashSet::new(), meanwhile: || family.labels(["new"]).inc() };
    registry.scrape().visit(&mut scrape);
    assert_eq!(scrape.seen.len(), SERIES, "the scrape visits only series that existed when it began");
    assert!(registry.to_text().contains("many_total{n=\"new\"} 1\n"));
}

#[test]
fn series_are_removed_during_a_scrape() {
    let registry = Registry::new();
    let family = family(&registry);
    let mut scrape = Interrupted {
        seen: HashSet::new(),
        meanwhile: || {
            for n in 0..SERIES {
                assert!(family.remove([&n.to_string()]));
            }
            family.labels(["0"]).inc();
        },
    };
    registry.scrape().visit(&mut scrape);
    // The scrape still visits the chunk of series that it has already read, but does not visit recreated series twice.
    assert!((SERIES / 2..SERIES).contains(&scrape.seen.len()), "{}", scrape.seen.len());
    assert_eq!(registry.to_text(), "# TYPE many_total counter\nmany_total{n=\"0\"} 1\n");
}

struct Shop {
    calls: Summary,
    failures: Counter,
}

impl Shop {
    #[instrument(latency = self.calls, exceptions = self.failures)]
    fn fail(&self) -> Result<(), ()> {
        Err(())
    }
}

/// Calls `Shop::fail` once per scrape, after the latency and before the exceptions are visited.
struct FirstCall<'s> {
    shop: &'s Shop,
    calls: u64,
    failures: Option<u64>,
}

impl Visitor for FirstCall<'_> {
    fn family(&mut self, _: &FamilyInfo<'_>) {}

    fn series(&mut self, _: Labels<'_>, value: &Value<'_>) {
        match value {
            Value::Summary { count, .. } => {
                self.calls = *count;
                self.shop.fail().expect_err("it fails");
            }
            Value::Counter(Number::Whole(failures)) => self.failures = Some(*failures),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_first_call_in_the_middle_of_a_scrape_adds_no_exception_to_it() {
    let registry = Registry::new();
    let shop = Shop {
        calls: Summary::builder("a_shop_calls_seconds", "").register_in(&registry).expect("valid"),
        failures: Counter::builder("b_shop_failures_total", "").register_in(&registry).expect("valid"),
    };
    // Increment the counter before any call so that it is always exported.
    shop.failures.inc();
    let scrape = |calls, failures| {
        let mut seen = FirstCall { shop: &shop, calls: 0, failures: None };
        registry.scrape().visit(&mut seen);
        assert_eq!((seen.calls, seen.failures), (calls, Some(failures)));
    };
    scrape(0, 1);
    scrape(1, 2);
    scrape(2, 3);
}

struct Depot {
    calls: Family<Summary, 1>,
}

impl Depot {
    // The exceptions have a default family.
    #[instrument("/depot", latency = self.calls, prefix = "b_depot")]
    fn fail(&self) -> Result<(), ()> {
        Err(())
    }
}

/// Makes a failing call in each scrape, after the latency and before the exceptions are visited.
struct CallInBetween<'f> {
    fail: &'f dyn Fn() -> Result<(), ()>,
    latency: &'f str,
    exceptions: &'f str,
    family: String,
    seen: (u64, u64),
}

impl Visitor for CallInBetween<'_> {
    fn family(&mut self, info: &FamilyInfo<'_>) {
        info.name.clone_into(&mut self.family);
    }

    fn series(&mut self, _: Labels<'_>, value: &Value<'_>) {
        match value {
            Value::Summary { count, .. } if self.family == self.latency => {
                self.seen.0 = *count;
                (self.fail)().expect_err("it fails");
            }
            Value::Counter(Number::Whole(exceptions)) if self.family == self.exceptions => self.seen.1 = *exceptions,
            _ => {}
        }
    }
}

fn scrapes_see_as_many_exceptions_as_calls(fail: &dyn Fn() -> Result<(), ()>, latency: &str, exceptions: &str) {
    fail().expect_err("it fails");
    for calls in 1..=3 {
        let mut visitor = CallInBetween { fail, latency, exceptions, family: String::new(), seen: (0, 0) };
        Registry::global().scrape().visit(&mut visitor);
        assert_eq!(visitor.seen, (calls, calls));
    }
}

#[test]
fn default_exceptions_never_exceed_the_calls_in_a_family_of_self() {
    let calls = Summary::builder("a_depot_calls_seconds", "").labels(["path"]).register();
    let depot = Depot { calls };
    let exceptions = "b_depot_request_exceptions_total";
    scrapes_see_as_many_exceptions_as_calls(&|| depot.fail(), "a_depot_calls_seconds", exceptions);
}

#[test]
fn default_exceptions_never_exceed_the_calls_in_a_single_series() {
    lazy_static::lazy_static! {
        static ref JOBS: Family<Summary, 1> = Summary::builder("a_jobs_seconds", "").labels(["job"]).register();
    }
    #[instrument(latency = JOBS.labels(["load"]), prefix = "b_jobs")]
    fn load() -> Result<(), ()> {
        Err(())
    }
    scrapes_see_as_many_exceptions_as_calls(&load, "a_jobs_seconds", "b_jobs_function_exceptions_total");
    let problems = Registry::global().check();
    let problem = problems.iter().find(|problem| problem.family == "b_jobs_function_latency_seconds");
    let problem = problem.expect("a problem").to_string();
    assert!(problem.contains("`latency` is a single series of a family"), "{problem}");
}

#[test]
fn families_of_the_library_come_last() {
    metrics_core::Counter::builder("zzz_total", "Last by name.").register().inc();
    let text = metrics_core::Registry::global().to_text();
    let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let first_own = names.iter().position(|name| name.starts_with("metrics_core_")).expect("there are some");
    assert!(names[first_own..].iter().all(|name| name.starts_with("metrics_core_")), "{names:?}");
    assert!(names[..first_own].is_sorted() && names[first_own..].is_sorted(), "{names:?}");
    assert!(names[..first_own].contains(&"zzz_total"), "{names:?}");
}

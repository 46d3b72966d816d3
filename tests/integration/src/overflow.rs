//! The series limit bounds memory regardless of the label values, and no call is lost.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use metrics_core::{Counter, Family, OVERFLOW, Registry, Summary, instrument};

use crate::sample;

#[test]
fn a_million_paths_are_2000_series_and_the_overflow() {
    let family = Counter::builder("attacked_total", "").labels(["path"]).register();
    for n in 0..1_000_000_u32 {
        family.labels([&format!("/{n}")]).inc();
    }
    assert_eq!(family.len(), 2_001);
    assert_eq!(family.labels([OVERFLOW]).value(), 998_000.0);
    assert_eq!(family.iter().map(|(_, counter)| counter.value()).sum::<f64>(), 1_000_000.0);
    assert_eq!(sample("metrics_core_overflowed_total{family=\"attacked_total\"}"), Some(998_000.0));
    // Existing series can still be incremented.
    family.labels(["/7"]).inc();
    assert_eq!(family.get(["/7"]).map(|counter| counter.value()), Some(2.0));
}

#[test]
fn overlong_values_overflow_and_others_do_not() {
    let family = Counter::builder("long_total", "").labels(["a", "b"]).build();
    let longest = "x".repeat(1_024);
    family.labels([&longest, ""]).inc();
    family.labels([&"x".repeat(1_025), ""]).inc_by(2);
    family.labels(["", &"ü".repeat(1 << 20)]).inc_by(3);
    assert_eq!(family.get([&longest, ""]).map(|counter| counter.value()), Some(1.0));
    assert_eq!(family.get([OVERFLOW, OVERFLOW]).map(|counter| counter.value()), Some(5.0));
    assert_eq!(family.len(), 2);
}

#[test]
fn a_family_registered_twice_has_the_larger_cap() {
    let registry = Registry::new();
    let family = |cap| {
        Summary::builder("capped_seconds", "").labels(["n"]).max_series(cap).register_in(&registry).expect("the same")
    };
    let small = family(1);
    small.labels(["1"]);
    small.labels(["2"]);
    assert!(small.get(["2"]).is_none());
    let large = family(3);
    large.labels(["2"]).observe(1);
    family(2);
    small.labels(["3"]).observe(1);
    assert_eq!(small.get(["2"]).map(|summary| summary.count()), Some(1));
    assert_eq!(small.get(["3"]).map(|summary| summary.count()), Some(1));
}

#[test]
fn a_full_family_has_room_again_after_a_removal() {
    let family = Counter::builder("again_total", "").labels(["n"]).max_series(2).build();
    let overflowed = || family.get([OVERFLOW]).map_or(0.0, |counter| counter.value());
    for round in 1..=100 {
        let [kept, new] = [f64::from(round), f64::from(round) * 2.0];
        family.labels(["kept"]).inc();
        family.labels(["removed"]).inc();
        // Twice, because the first one fills the filter that excludes the second one.
        family.labels(["new"]).inc();
        family.labels(["new"]).inc();
        assert_eq!((family.labels(["kept"]).value(), overflowed()), (kept, new));
        assert!(family.remove(["removed"]));
        family.labels(["new"]).inc();
        assert_eq!(family.labels(["new"]).value(), 1.0);
        assert!(family.remove(["new"]));
    }
}

#[test]
fn a_full_family_finds_its_series_while_others_are_removed() {
    let family = Counter::builder("churned_total", "").labels(["n"]).max_series(8).build();
    let kept = |n: u32| family.labels([&(n % 7).to_string()]);
    (0..7).for_each(|n| drop(kept(n)));
    let done = AtomicBool::new(false);
    let calls: u32 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|thread| {
                let (family, kept, done) = (&family, &kept, &done);
                scope.spawn(move || {
                    let calls = (0..).take_while(|&n| {
                        kept(n).inc();
                        family.labels([&format!("{thread}-{n}")]).inc();
                        !done.load(Relaxed)
                    });
                    // The call that sees the end is recorded, too.
                    calls.count() as u32 + 1
                })
            })
            .collect();
        let mut removed = 0;
        while removed < 200 {
            for (values, _) in family.iter().filter(|(values, _)| values[0].contains('-')) {
                removed += usize::from(family.remove([&values[0]]));
            }
        }
        done.store(true, Relaxed);
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!((0..7).map(|n| kept(n).value()).sum::<f64>(), f64::from(calls));
    for (values, _) in family.iter().filter(|(values, _)| values[0].contains('-')) {
        family.remove([&values[0]]);
    }
    family.labels(["new"]).inc();
    assert_eq!(family.get(["new"]).map(|counter| counter.value()), Some(1.0));
}

#[test]
fn an_annotated_function_under_attack_loses_no_call() {
    #[instrument(path, prefix = "attacked", max_series = 10)]
    fn route(path: &str) -> Result<(), ()> {
        if path.ends_with('0') { Err(()) } else { Ok(()) }
    }
    for n in 0..1_000 {
        route(&format!("/{n}")).ok();
    }
    let text = Registry::global().to_text();
    let sum = |name: &str| -> f64 {
        text.lines()
            .filter(|line| line.starts_with(name))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    };
    assert_eq!(sum("attacked_request_latency_seconds_count{"), 1_000.0);
    assert_eq!(sum("attacked_request_exceptions_total{"), 100.0);
    assert_eq!(sample("attacked_request_latency_seconds_count{path=\"__overflow__\"}"), Some(990.0));
    assert_eq!(sample("attacked_request_exceptions_total{path=\"__overflow__\"}"), Some(99.0));
}

#[test]
fn labels_from_the_source_code_do_not_count_towards_the_cap() {
    #[instrument(path, prefix = "roomy", max_series = 2)]
    fn route(path: &str) {}
    #[instrument("/login", prefix = "roomy", max_series = 2)]
    fn login() {}
    #[instrument("/logout", kind, prefix = "roomy", max_series = 2)]
    fn logout() -> Result<(), &'static str> {
        Ok(())
    }
    for path in ["/a", "/b", "/c"] {
        route(path);
    }
    login();
    logout().ok();
    let count = |path: &str| sample(&format!("roomy_request_latency_seconds_count{{path=\"{path}\"}}"));
    let counts = ["/a", "/b", "/c", "/login", "/logout", OVERFLOW].map(count);
    assert_eq!(counts, [Some(1.0), Some(1.0), None, Some(1.0), Some(1.0), Some(1.0)]);
    assert_eq!(sample("metrics_core_overflowed_total{family=\"roomy_request_latency_seconds\"}"), Some(1.0));
}

#[test]
fn a_cap_below_the_number_of_known_values_is_one_problem() {
    macro_rules! functions {
        ($($name:ident)*) => {
            $(
                #[instrument(path in ["/a", "/b", "/c"], prefix = "narrow", max_series = 2)]
                fn $name(path: &str) {}
            )*
            $($name("/a");)*
        };
    }
    functions!(one two three);
    let problems = Registry::global().check();
    let narrow = problems.iter().filter(|problem| problem.to_string().contains("narrow_request")).count();
    // Only the exceptions family, which reaches its limit first, is reported, and only once for all functions.
    assert_eq!(narrow, 1, "{problems:?}");
}

#[test]
fn a_label_set_without_room_in_one_family_creates_no_series_in_another() {
    lazy_static::lazy_static! {
        static ref ROOMY: Family<Summary, 1> =
            Summary::builder("roomy_seconds", "").labels(["path"]).max_series(100).register();
        static ref TIGHT: Family<Counter, 1> =
            Counter::builder("tight_total", "").labels(["path"]).max_series(1).register();
    }
    #[instrument(path, latency = ROOMY, exceptions = TIGHT)]
    fn call(path: &str) -> Result<(), ()> {
        Err(())
    }
    for n in 0..50 {
        call(&n.to_string()).ok();
    }
    assert_eq!((ROOMY.len(), TIGHT.len()), (2, 2));
    assert_eq!(ROOMY.get(["__overflow__"]).map(|summary| summary.count()), Some(49));
    assert_eq!(TIGHT.get(["__overflow__"]).map(|counter| counter.value()), Some(49.0));
}

#[test]
fn late_labels_and_families_of_self_overflow_together() {
    type Done = Result<(), ()>;
    struct Worker {
        latency: Family<Summary, 2>,
        failures: Family<Counter, 2>,
    }
    impl Worker {
        #[instrument(path, ok = |done: &Done| done.is_ok(), latency = self.latency, exceptions = self.failures)]
        fn own(&self, path: &str) -> Done {
            Err(())
        }

        #[instrument(path, ok = |done: &Done| done.is_ok(), latency = self.latency, prefix = "late_self")]
        fn mixed(&self, path: &str) -> Done {
            Err(())
        }
    }
    let worker = Worker {
        latency: Summary::builder("late_self_seconds", "").labels(["path", "ok"]).max_series(2).build(),
        failures: Counter::builder("late_self_failures_total", "").labels(["path", "ok"]).max_series(4).build(),
    };
    for _ in 0..2 {
        for path in ["/a", "/b", "/c"] {
            worker.own(path).ok();
            worker.mixed(path).ok();
        }
    }
    let failures = |path| worker.failures.get([path, "false"]).map(|counter| counter.value());
    assert_eq!((failures("/b"), failures("/c")), (Some(2.0), None));
    let overflow = ["__overflow__"; 2];
    assert_eq!(worker.failures.get(overflow).map(|counter| counter.value()), Some(2.0));
    assert_eq!(worker.latency.get(overflow).map(|summary| summary.count()), Some(4));
    let mixed =
        |path: &str, ok: &str| sample(&format!("late_self_request_exceptions_total{{path=\"{path}\",ok=\"{ok}\"}}"));
    assert_eq!(mixed("__overflow__", "__overflow__"), Some(2.0));
    assert_eq!((mixed("/b", "false"), mixed("/c", "false")), (Some(2.0), None));
}

#[test]
fn a_full_family_of_self_creates_no_series_in_the_default_families() {
    struct Worker {
        latency: Family<Summary, 1>,
    }
    impl Worker {
        #[instrument(path, latency = self.latency, prefix = "full_self")]
        fn run(&self, path: &str) -> Result<(), ()> {
            Err(())
        }

        #[instrument(path, kind, latency = self.latency, prefix = "full_late_self")]
        fn run_late(&self, path: &str) -> Result<(), &'static str> {
            Err("failed")
        }
    }
    let worker = || {
        let latency = Summary::builder("full_self_seconds", "").labels(["path"]).max_series(1).build();
        Worker { latency }
    };
    let (one, other) = (worker(), worker());
    for n in 0..3 {
        one.run(&n.to_string()).ok();
        other.run_late(&n.to_string()).ok();
    }
    let paths = ["0", "1", "2", OVERFLOW];
    let exceptions = paths.map(|path| sample(&format!("full_self_request_exceptions_total{{path=\"{path}\"}}")));
    assert_eq!(exceptions, [Some(1.0), None, None, Some(2.0)]);
    let text = Registry::global().to_text();
    let series =
        |path: &str| text.matches(&format!("full_late_self_request_exceptions_total{{path=\"{path}\",")).count();
    // The first path has a series for its kind, and one for panics, which is created in advance.
    assert_eq!(paths.map(series), [2, 0, 0, 1], "{text}");
}

#[test]
fn literal_labels_stay_in_default_families_if_a_family_of_self_is_full() {
    struct Worker {
        latency: Family<Summary, 1>,
    }
    impl Worker {
        #[instrument("/refresh", latency = self.latency, prefix = "literal_self")]
        fn refresh(&self) -> Result<(), ()> {
            Err(())
        }
    }
    let worker =
        Worker { latency: Summary::builder("literal_self_seconds", "").labels(["path"]).max_series(1).build() };
    worker.latency.labels(["/other"]);
    worker.refresh().ok();
    assert_eq!(sample("literal_self_request_exceptions_total{path=\"/refresh\"}"), Some(1.0));
}

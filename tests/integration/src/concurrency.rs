//! Totals are exact and never decrease, even with many threads, migrating tasks and concurrent scrapes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use metrics_core::{Counter, Family, Gauge, Histogram, Registry, Summary, instrument};

const THREADS: u32 = 8;
const CALLS: u32 = 20_000;

/// Returns all samples of the families whose names begin with `prefix`.
fn samples(registry: &Registry, prefix: &str) -> HashMap<String, f64> {
    let text = registry.to_text();
    let lines = text.lines().filter(|line| line.starts_with(prefix));
    lines
        .filter_map(|line| {
            line.rsplit_once(' ').map(|(series, value)| (series.to_owned(), value.parse().expect("a number")))
        })
        .collect()
}

/// Scrapes until `done` and checks that only gauges decrease.
fn scrape_until(done: &AtomicBool, registry: &Registry, prefix: &str, check: impl Fn(&HashMap<String, f64>)) -> usize {
    let mut last: HashMap<String, f64> = HashMap::new();
    let mut scrapes = 0;
    loop {
        let ending = done.load(Ordering::Acquire);
        let now = samples(registry, prefix);
        for (series, value) in &last {
            assert!(series.contains("in_flight") || now[series] >= *value, "{series}: {value} -> {}", now[series]);
        }
        check(&now);
        last = now;
        scrapes += 1;
        if ending {
            return scrapes;
        }
    }
}

#[test]
fn totals_are_exact_and_never_fall() {
    let registry = Registry::new();
    let counter: Family<Counter, 1> =
        Counter::builder("storm_total", "").labels(["n"]).register_in(&registry).expect("valid");
    let summary: Family<Summary, 1> =
        Summary::builder("storm_seconds", "").labels(["n"]).register_in(&registry).expect("valid");
    let histogram = Histogram::builder("storm_bytes", "").buckets([2.0, 4.0]).register_in(&registry).expect("valid");
    let gauge = Gauge::builder("storm_in_flight", "").register_in(&registry).expect("valid");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let scrapes = scope.spawn(|| {
            scrape_until(&done, &registry, "storm_", |now| {
                for n in 0..4 {
                    let pair = (
                        now.get(&format!("storm_seconds_count{{n=\"{n}\"}}")),
                        now.get(&format!("storm_seconds_sum{{n=\"{n}\"}}")),
                    );
                    // Each observation is 0.5, so a count and a sum from different moments would not match.
                    if let (Some(count), Some(sum)) = pair {
                        assert_eq!(*sum, count * 0.5);
                    }
                }
                // Each observation is 3.
                assert_eq!(now["storm_bytes_sum"], now["storm_bytes_count"] * 3.0);
                let buckets = ["2", "4", "+Inf"].map(|le| now[format!("storm_bytes_bucket{{le=\"{le}\"}}").as_str()]);
                assert_eq!(buckets[2], now["storm_bytes_count"]);
                assert!(buckets[0] <= buckets[1] && buckets[1] <= buckets[2], "{buckets:?}");
                assert!(now["storm_in_flight"] >= 0.0);
            })
        });
        let writers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    for call in 0..CALLS {
                        let _in_flight = gauge.track_in_flight();
                        let n = (call % 4).to_string();
                        counter.labels([&n]).inc();
                        summary.labels([&n]).observe(0.5);
                        histogram.observe(3);
                        if call % 1_000 == 0 {
                            // A short-lived thread.
                            let (counter, summary) = (counter.clone(), summary.clone());
                            thread::spawn(move || {
                                counter.labels(["0"]).inc();
                                summary.labels(["0"]).observe(0.5);
                            })
                            .join()
                            .expect("no panic");
                        }
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().expect("no panic"));
        done.store(true, Ordering::Release);
        assert!(scrapes.join().expect("nothing fell") > 1);
    });
    let total = |n: u32| f64::from(THREADS * CALLS / 4 + if n == 0 { THREADS * CALLS / 1_000 } else { 0 });
    for n in 0..4 {
        assert_eq!(counter.labels([&n.to_string()]).value(), total(n));
        assert_eq!(summary.labels([&n.to_string()]).sum(), total(n) * 0.5);
    }
    assert_eq!(histogram.count(), u64::from(THREADS * CALLS));
    assert_eq!(gauge.value(), 0.0);
}

/// The number of calls that continued on a different thread.
static MIGRATED: AtomicUsize = AtomicUsize::new(0);

#[instrument(path in ["/a", "/b"], in_flight, prefix = "migrating")]
async fn migrating(path: &str, call: u32) -> Result<u32, ()> {
    let began_in = thread::current().id();
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    if thread::current().id() != began_in {
        MIGRATED.fetch_add(1, Ordering::Relaxed);
    }
    match call % 4 {
        0 => Err(()),
        1 => std::panic::panic_any(()),
        2 => std::future::pending().await,
        _ => Ok(call),
    }
}

#[test]
fn calls_of_migrating_tasks_are_exact() {
    const TASKS: u32 = 8_000;
    metrics_core::init();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // This test panics thousands of times on purpose.
        if info.payload().downcast_ref::<()>().is_none() {
            hook(info);
        }
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().expect("threads");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let scrapes = scope.spawn(|| {
            scrape_until(&done, Registry::global(), "migrating_", |now| {
                for path in ["/a", "/b", "other"] {
                    let at = |name: &str| now[&format!("migrating_{name}{{path=\"{path}\"}}")];
                    assert!(at("request_exceptions_total") <= at("request_latency_seconds_count"));
                    assert!(at("request_cancelled_total") <= at("request_latency_seconds_count"));
                    assert!(at("requests_in_flight") >= 0.0);
                }
            })
        });
        runtime.block_on(async {
            let tasks: Vec<_> = (0..TASKS)
                .map(|call| {
                    tokio::spawn(async move {
                        let path = ["/a", "/b", "/nowhere"][call as usize % 3];
                        let ended = migrating(path, call);
                        tokio::select! {
                            ended = ended => ended.is_ok(),
                            () = async { for _ in 0..20 { tokio::task::yield_now().await } } => false,
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.ok();
            }
        });
        done.store(true, Ordering::Release);
        scrapes.join().expect("nothing fell");
    });
    assert!(MIGRATED.load(Ordering::Relaxed) > 0, "no call has migrated");
    let now = samples(Registry::global(), "migrating_");
    let sum =
        |name: &str| -> f64 { now.iter().filter(|(series, _)| series.starts_with(name)).map(|(_, value)| value).sum() };
    assert_eq!(sum("migrating_request_latency_seconds_count"), f64::from(TASKS));
    assert_eq!(sum("migrating_request_exceptions_total"), f64::from(TASKS / 2));
    assert_eq!(sum("migrating_request_cancelled_total"), f64::from(TASKS / 4));
    assert_eq!(sum("migrating_requests_in_flight"), 0.0);
    assert_eq!(now["migrating_request_latency_seconds_count{path=\"other\"}"], f64::from(TASKS / 3));
}

#[instrument(path, in_flight, prefix = "everything", max_series = 64)]
async fn everything(path: &str, call: u32) -> Result<u32, ()> {
    tokio::task::yield_now().await;
    if call.is_multiple_of(3) { Err(()) } else { Ok(call) }
}

/// Combines migrating tasks, short-lived threads, series that are removed during writes, new label sets, and continuous
/// scrapes.
#[test]
fn all_at_once_totals_are_exact_and_never_fall() {
    const TASKS: u32 = 20_000;
    const SHORT_THREADS: u32 = 1_000;
    let registry = Registry::new();
    let kept: Family<Counter, 1> =
        Counter::builder("everything_kept_total", "").labels(["n"]).register_in(&registry).expect("valid");
    let churned: Family<Summary, 1> =
        Summary::builder("everything_churned_seconds", "").labels(["n"]).register_in(&registry).expect("valid");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).build().expect("threads");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let calls = scope.spawn(|| scrape_until(&done, Registry::global(), "everything_", |_| {}));
        let counts = scope.spawn(|| scrape_until(&done, &registry, "everything_kept", |_| {}));
        let churn = scope.spawn(|| {
            let mut removed = 0;
            while !done.load(Ordering::Acquire) {
                removed += u32::from(churned.remove(["gone"]));
                churned.labels(["gone"]).observe(1);
                let now = samples(&registry, "everything_churned");
                // Each observation is 1, so the sum equals the count in every generation of the series.
                let at = |name: &str| now.get(&format!("everything_churned_seconds_{name}{{n=\"gone\"}}")).copied();
                assert_eq!(at("sum"), at("count"));
            }
            removed
        });
        let comers = scope.spawn(|| {
            for n in 0..SHORT_THREADS {
                let (kept, churned) = (kept.clone(), churned.clone());
                let short = thread::spawn(move || {
                    kept.labels([&(n % 5).to_string()]).inc();
                    churned.labels(["gone"]).observe(1);
                    churned.labels(["stays"]).observe(1);
                });
                short.join().expect("no panic");
            }
        });
        runtime.block_on(async {
            let tasks: Vec<_> = (0..TASKS)
                .map(|call| {
                    let (kept, churned) = (kept.clone(), churned.clone());
                    tokio::spawn(async move {
                        kept.labels([&(call % 5).to_string()]).inc();
                        churned.labels(["gone"]).observe(1);
                        churned.labels(["stays"]).observe(1);
                        // Every tenth path is new. Most of the new paths exceed the series limit.
                        let path = if call % 10 == 0 { format!("/new/{call}") } else { format!("/{}", call % 4) };
                        everything(&path, call).await.is_ok()
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("no panic");
            }
        });
        comers.join().expect("no panic");
        done.store(true, Ordering::Release);
        for scrapes in [calls, counts] {
            assert!(scrapes.join().expect("nothing fell") > 1);
        }
        assert!(churn.join().expect("a removed series contains no later writes") > 0);
    });
    let all = f64::from(TASKS + SHORT_THREADS);
    assert_eq!(kept.iter().map(|(_, counter)| counter.value()).sum::<f64>(), all);
    assert_eq!(churned.labels(["stays"]).sum(), all);
    let now = samples(Registry::global(), "everything_");
    let sum =
        |name: &str| -> f64 { now.iter().filter(|(series, _)| series.starts_with(name)).map(|(_, value)| value).sum() };
    assert_eq!(sum("everything_request_latency_seconds_count"), f64::from(TASKS));
    assert_eq!(sum("everything_request_exceptions_total"), f64::from(TASKS.div_ceil(3)));
    assert_eq!(sum("everything_requests_in_flight"), 0.0);
    assert!(now["everything_request_latency_seconds_count{path=\"__overflow__\"}"] > 0.0);
}

#[test]
fn a_removed_series_never_gets_the_writes_of_another() {
    let family = Counter::builder("churn_total", "").labels(["a"]).build();
    let gauges = Gauge::builder("churn", "").labels(["a"]).build();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let (mut stale, mut gauge) = (family.labels(["x"]), gauges.labels(["x"]));
                while !done.load(Ordering::Relaxed) {
                    for _ in 0..100 {
                        stale.inc_by(1_000_000);
                        gauge.add(1_000_000);
                    }
                    (stale, gauge) = (family.labels(["x"]), gauges.labels(["x"]));
                }
            });
        }
        for _ in 0..5_000 {
            family.remove(["x"]);
            gauges.remove(["x"]);
            let (fresh, gauge) = (family.labels(["y"]), gauges.labels(["y"]));
            fresh.inc();
            gauge.inc();
            assert_eq!((fresh.value(), gauge.value()), (1.0, 1.0));
            family.remove(["y"]);
            gauges.remove(["y"]);
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn functions_with_different_labels_may_be_called_concurrently_first() {
    macro_rules! functions {
        ($($name:ident: $($label:literal),*;)*) => {$(
            #[metrics_core::instrument($($label,)* prefix = "first_at_once", $name = "x")]
            fn $name() {}
        )*};
    }
    functions! { one: "/a"; two: "/a"; three: ; four: ; five: "/a"; six: ; seven: "/a"; eight: ; }
    let barrier = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for call in [one, two, three, four, five, six, seven, eight] {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                call();
            });
        }
    });
    let text = metrics_core::Registry::global().to_text();
    let series = text.lines().filter(|line| line.starts_with("first_at_once_request_latency_seconds_count{"));
    assert_eq!(series.filter(|line| line.ends_with(" 1")).count(), 8, "{text}");
}

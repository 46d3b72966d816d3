//! Remote write to real servers: Prometheus in two versions, and VictoriaMetrics.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics_core::{Counter, Gauge, Histogram, HttpServer, Info, LabelValue, Registry, RemoteWrite, StateSet};
use serde_json::{Value, json};

use crate::graphite::everything;
use crate::prometheus::Prometheus;
use crate::victoria::Victoria;
use crate::wait_for;

/// The argument of a Prometheus server that accepts everything that remote write can send.
const ALL: [&str; 1] = ["--enable-feature=native-histograms,exemplar-storage"];
/// Selects all series except those that only a scrape adds, those that change with each scrape, and a negative sum of a
/// summary, which OpenMetrics does not allow.
const COMPARED: &str = "{job=\"router\",__name__!~\"up|odd_sum|scrape_.*|metrics_core_.*\"}";
const HOUR: Duration = Duration::from_secs(3_600);

#[derive(LabelValue)]
enum State {
    Starting,
    Serving,
}

/// Returns the value of a series about pushes in this process.
fn own(name: &str) -> f64 {
    let text = Registry::global().to_text();
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok()).unwrap_or(0.0)
}

fn pushes(target: &str, outcome: &str) -> f64 {
    own(&format!("metrics_core_push_total{{target=\"{target}\",outcome=\"{outcome}\"}}"))
}

fn milliseconds() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis()
}

/// Returns the values by labels.
fn by_labels(series: &[(Value, f64)]) -> BTreeMap<String, f64> {
    let all: BTreeMap<_, _> = series.iter().map(|(labels, value)| (labels.to_string(), *value)).collect();
    assert_eq!(all.len(), series.len());
    all
}

/// Asserts that two results of a query have the same labels, and values that differ by at most this fraction.
fn assert_same(found: &BTreeMap<String, f64>, expected: &BTreeMap<String, f64>, error: f64) {
    let is_same = |one: f64, other: f64| {
        one == other || (one.is_nan() && other.is_nan()) || (one - other).abs() <= error * other.abs()
    };
    let is_in = |(labels, value): &(&String, &f64), all: &BTreeMap<String, f64>| {
        all.get(*labels).is_some_and(|other| is_same(**value, *other))
    };
    let wrong: Vec<_> = found.iter().filter(|pair| !is_in(pair, expected)).collect();
    let missing: Vec<_> = expected.iter().filter(|pair| !is_in(pair, found)).collect();
    assert!(wrong.is_empty() && missing.is_empty(), "{wrong:#?} instead of {missing:#?}");
}

/// Returns a registry with metrics of every type. The last type is a histogram with native buckets.
fn of_every_type() -> Registry {
    let registry = everything();
    Info::builder("version_info", "Version.").const_label("commit", "1a2b").register_in(&registry).expect("valid");
    let state = StateSet::<State>::builder("service_state", "State.").register_in(&registry).expect("valid");
    state.set(&State::Starting);
    state.set(&State::Serving);
    let builder = Histogram::builder("wait_seconds", "Waits.").labels(["A", "queue"]).buckets([0.25, 1.0]).native();
    let waits = builder.register_in(&registry).expect("valid");
    for seconds in [0.1, 0.2, 0.4, 20.0] {
        waits.labels(["upper case", "mail"]).observe(seconds);
    }
    registry
}

/// Returns the target for a registry with the labels that a scrape would set.
fn target(url: &str, registry: &Registry, instance: &str) -> RemoteWrite {
    RemoteWrite::new(url).registry(registry).label("job", "router").label("instance", instance)
}

#[test]
fn pushed_and_scraped_series_are_the_same() {
    let registry = of_every_type();
    let server = HttpServer::builder().registry(&registry).start("127.0.0.1:0").expect("a free port");
    let instance = server.local_addr().to_string();
    for version in Prometheus::VERSIONS {
        let scraped = Prometheus::start_version(version, &instance, "", &[]);
        let expected = by_labels(&scraped.query(COMPARED));
        assert!(expected.len() > 50, "{expected:?}");

        // Without native histograms, Prometheus rejects a request that contains one.
        let receiver = Prometheus::receiving(version, &[]);
        let (name, dropped) = ("classic", "metrics_core_push_samples_dropped_total{target=\"classic\"}");
        let before = own(dropped);
        target(&receiver.write_url(), &registry, &instance).name(name).push().expect("accepted");
        assert_same(&by_labels(&receiver.query(COMPARED)), &expected, 0.0);
        assert_eq!(own(dropped), before + 1.0);
        assert_eq!(receiver.value("odd_sum"), -3.5);

        let receiver = Prometheus::receiving(version, &ALL);
        target(&receiver.write_url(), &registry, &instance).name("native").push().expect("accepted");
        let classic = COMPARED.replace("scrape_.*", "scrape_.*|wait_seconds");
        assert_same(&by_labels(&receiver.query(&classic)), &expected, 0.0);
        assert_eq!(receiver.value("histogram_count(wait_seconds{A=\"upper case\",queue=\"mail\"})"), 4.0);
        let quantile = receiver.value("histogram_quantile(0.4, wait_seconds)");
        assert!((0.18..0.22).contains(&quantile), "{quantile}");

        let receiver = Prometheus::receiving(version, &ALL);
        let target = target(&receiver.write_url(), &registry, &instance).native_histograms(false);
        target.push().expect("accepted");
        assert_same(&by_labels(&receiver.query(COMPARED)), &expected, 0.0);
    }
    let mut expected = by_labels(&Prometheus::scraping(&instance).query(COMPARED));
    // VictoriaMetrics stores decimal numbers with about 15 digits, and does not store NaN values.
    expected.retain(|_, value| !value.is_nan());
    let victoria = Victoria::start();
    target(&victoria.write_url(), &registry, &instance).push().expect("accepted");
    assert_same(&by_labels(&victoria.query(COMPARED)), &expected, 1e-14);
    server.shutdown();
}

#[test]
fn prometheus_returns_the_exemplars_of_pushes() {
    let registry = Registry::new();
    let jobs = Counter::builder("jobs_total", "Jobs.").register_in(&registry).expect("valid");
    let builder = Histogram::builder("job_latency_seconds", "Latency of jobs.").buckets([0.1, 1.0]).native();
    let latency = builder.register_in(&registry).expect("valid");
    jobs.inc_with_exemplar(|| [("trace_id", "of the counter")]);
    // Not in the order of the buckets.
    let observed = [(5.0, "too slow"), (0.05, "fast"), (0.5, "slow")];
    for (seconds, trace) in observed {
        latency.observe_with_exemplar(seconds, || [("trace_id", trace), ("span_id", "00f067aa0ba902b7")]);
        // Prometheus rejects two exemplars of a series with the same time, in milliseconds.
        let time = milliseconds();
        wait_for("the next millisecond", || (milliseconds() > time).then_some(()));
    }
    for version in Prometheus::VERSIONS {
        let receiver = Prometheus::receiving(version, &ALL);
        let target = RemoteWrite::new(receiver.write_url()).registry(&registry);
        for _ in 0..2 {
            target.push().expect("accepted");
        }
        let [(_, labels, value)] = &receiver.exemplars("jobs_total")[..] else { panic!("one exemplar") };
        assert_eq!((labels, *value), (&json!({"trace_id": "of the counter"}), 1.0));
        for (le, (seconds, trace)) in ["+Inf", "0.1", "1.0"].iter().zip(observed) {
            let found = receiver.exemplars(&format!("job_latency_seconds_bucket{{le=\"{le}\"}}"));
            let [(_, labels, value)] = &found[..] else { panic!("{found:?} for {le}") };
            assert_eq!((labels, *value), (&json!({"trace_id": trace, "span_id": "00f067aa0ba902b7"}), seconds));
        }
        let native = receiver.exemplars("job_latency_seconds");
        let native: Vec<_> =
            native.iter().map(|(_, labels, value)| (*value, labels["trace_id"].as_str().expect("text"))).collect();
        assert_eq!(native, observed);
    }
}

#[test]
fn series_that_end_are_marked_as_stale() {
    let registry = Registry::new();
    let jobs = Counter::builder("jobs_total", "Jobs.").labels(["queue"]).register_in(&registry).expect("valid");
    let builder = Histogram::builder("wait_seconds", "Waits.").labels(["queue"]).native();
    let waits = builder.register_in(&registry).expect("valid");
    let run = |url: &str, check_removed: &dyn Fn()| {
        for queue in ["mail", "print"] {
            jobs.labels([queue]).inc_by(3_u64);
            waits.labels([queue]).observe(0.5);
        }
        let target = RemoteWrite::new(url).registry(&registry).name("ends");
        target.push().expect("accepted");
        jobs.remove(["print"]);
        waits.remove(["print"]);
        target.push().expect("accepted");
        check_removed();
        let pusher = target.start(HOUR).expect("a thread");
        jobs.labels(["mail"]).inc();
        pusher.shutdown().expect("accepted");
        jobs.remove(["mail"]);
        waits.remove(["mail"]);
    };
    for version in Prometheus::VERSIONS {
        let receiver = Prometheus::receiving(version, &ALL);
        let names = "{__name__=~\"jobs_total|wait_seconds.*\"}";
        run(&receiver.write_url(), &|| {
            assert_eq!(receiver.value("jobs_total"), 3.0);
            assert_eq!(receiver.value("histogram_count(wait_seconds)"), 1.0);
            assert_eq!(receiver.value("count(wait_seconds_count)"), 1.0);
        });
        assert_eq!(receiver.query(&format!("count({names})")), []);
        assert_eq!(receiver.value("last_over_time(jobs_total{queue=\"mail\"}[1h])"), 4.0);
        assert_eq!(receiver.value("last_over_time(jobs_total{queue=\"print\"}[1h])"), 3.0);
        // Stale markers are not counted.
        let native = receiver.value("count_over_time(wait_seconds{queue=\"mail\"}[1h])");
        assert_eq!(native, receiver.value("count_over_time(wait_seconds_count{queue=\"mail\"}[1h])"));
        assert_eq!(receiver.value("count_over_time(wait_seconds{queue=\"print\"}[1h])"), 1.0);
    }
    let victoria = Victoria::start();
    run(&victoria.write_url(), &|| {
        assert_eq!(victoria.query("jobs_total"), [(json!({"__name__": "jobs_total", "queue": "mail"}), 3.0)]);
    });
    assert_eq!(victoria.query("{__name__=~\"jobs_total|wait_seconds.*\"}"), []);
    for (labels, samples) in victoria.series("{__name__=~\"jobs_total|wait_seconds.*\"}") {
        let markers = samples.iter().filter(|(_, value)| value.is_nan()).count();
        assert!(markers == 1 && samples.last().is_some_and(|(_, value)| value.is_nan()), "{labels}: {samples:?}");
    }
}

#[test]
fn thirty_thousand_series_are_pushed_in_batches() {
    let registry = Registry::new();
    let builder = Gauge::builder("size_bytes", "Sizes.").labels(["disk"]).max_series(40_000);
    let sizes = builder.register_in(&registry).expect("valid");
    for disk in 0..30_000 {
        sizes.labels([&format!("disk {disk}")]).set(disk);
    }
    let sum = f64::from(29_999 * 15_000);
    let prometheus = Prometheus::receiving(Prometheus::VERSIONS[0], &[]);
    let victoria = Victoria::start();
    for url in [prometheus.write_url(), victoria.write_url()] {
        let pusher = target(&url, &registry, "one").start(HOUR).expect("a thread");
        pusher.shutdown().expect("accepted");
    }
    assert_eq!(prometheus.query("size_bytes"), []);
    assert_eq!(prometheus.value("sum(last_over_time(size_bytes[1h]))"), sum);
    assert_eq!(victoria.query("size_bytes"), []);
    assert_eq!(victoria.query("sum(last_over_time(size_bytes[1h]))"), [(json!({}), sum)]);
}

#[test]
fn nothing_is_lost_while_the_receiver_restarts() {
    let registry = Registry::new();
    let counter = Counter::builder("kept_total", "").register_in(&registry).expect("valid");
    let mut receiver = Prometheus::receiving(Prometheus::VERSIONS[0], &ALL);
    let target = RemoteWrite::new(receiver.write_url()).registry(&registry).name("restarts");
    let pusher = target.timeout(Duration::from_secs(2)).start(Duration::from_millis(200)).expect("a thread");
    let shows = |receiver: &Prometheus, total: f64| {
        wait_for("the total", || receiver.query("kept_total").iter().any(|(_, value)| *value == total).then_some(()));
    };
    for total in 1..4 {
        counter.inc();
        shows(&receiver, f64::from(total));
        let failed = pushes("restarts", "error") + pushes("restarts", "timeout");
        let fails = || (pushes("restarts", "error") + pushes("restarts", "timeout") > failed).then_some(());
        if total == 2 {
            receiver.signal("-STOP");
            wait_for("a push that fails", fails);
            receiver.signal("-CONT");
        } else {
            receiver.kill();
            wait_for("a push that fails", fails);
            receiver.start_again();
        }
    }
    // The last push succeeds even though the receiver restarts only during `shutdown`.
    receiver.kill();
    counter.inc();
    let ending = thread::spawn(move || pusher.shutdown());
    receiver.start_again();
    ending.join().expect("no panic").expect("accepted");
    assert_eq!(receiver.query("kept_total"), []);
    assert_eq!(receiver.value("last_over_time(kept_total[1h])"), 4.0);
    assert_eq!(receiver.query("resets(kept_total[1h]) > 0"), []);
}

#[test]
fn nothing_is_lost_while_victoria_metrics_restarts() {
    let registry = Registry::new();
    let counter = Counter::builder("kept_total", "").register_in(&registry).expect("valid");
    let mut victoria = Victoria::start();
    let target = RemoteWrite::new(victoria.write_url()).registry(&registry).name("victoria");
    let pusher = target.timeout(Duration::from_secs(2)).start(Duration::from_millis(200)).expect("a thread");
    for total in 1..3 {
        counter.inc();
        wait_for("the total", || {
            let result = victoria.query("kept_total");
            result.iter().any(|(_, value)| *value == f64::from(total)).then_some(())
        });
        let failed = pushes("victoria", "error");
        victoria.kill();
        wait_for("a push that fails", || (pushes("victoria", "error") > failed).then_some(()));
        victoria.start_again();
    }
    counter.inc();
    pusher.shutdown().expect("accepted");
    assert_eq!(victoria.query("kept_total"), []);
    assert_eq!(victoria.query("last_over_time(kept_total[1h])").len(), 1);
    assert_eq!(victoria.query("last_over_time(kept_total[1h])")[0].1, 3.0);
}

//! Every receiver holds the totals of a fleet's calls, whatever happens to replicas and receivers.

use std::collections::BTreeMap;
use std::time::Instant;

use servers::wait_for;

use crate::fleet::{Calls, Fleet, OTLP_INSTANCE};
use crate::stores::signal;
use crate::work;

const COUNT: &str = "replica_request_latency_seconds_count";
/// The factor between the bounds of native buckets.
const GROWTH: f64 = 1.0905;

#[test]
fn twenty_replicas_add_up() {
    adds_up(20);
}

/// `cargo test --release --package fleet-tests -- --ignored --nocapture`
#[test]
#[ignore = "needs several minutes and gigabytes of memory"]
fn two_hundred_replicas_add_up() {
    adds_up(200);
}

fn adds_up(size: usize) {
    let begin = Instant::now();
    let mut fleet = Fleet::start(size);
    fleet.call();

    // Receivers fail, one after the other, while calls continue.
    signal(&fleet.written.server, "-STOP");
    fleet.call();
    signal(&fleet.written.server, "-CONT");
    fleet.otlp.flush();
    fleet.otlp.server.kill();
    fleet.call();
    fleet.otlp.server.restart();
    fleet.prometheus.server.kill();
    fleet.call();
    fleet.prometheus.server.restart();
    fleet.settle();

    // A rolling restart: a quarter of the replicas ends gracefully, right after more calls.
    let quarter = size / 4;
    fleet.call();
    fleet.replace(0..quarter, true);
    // The next quarter is killed while it is idle, and another one right after more calls.
    fleet.replace(quarter..2 * quarter, false);
    fleet.call();
    fleet.replace(2 * quarter..3 * quarter, false);
    fleet.call();
    fleet.settle();

    let expected = fleet.calls();
    println!("{size} replicas, {} instances, {:?} until settled", expected.len(), begin.elapsed());
    let written = fleet.written.last(COUNT, "instance");
    check("remote write", &written, &expected);
    let otlp = fleet.otlp.last(COUNT, OTLP_INSTANCE);
    check("OTLP", &otlp, &expected);
    // Scrapes miss the calls after the last scrape, even those of replicas that end gracefully.
    let window = format!("[{}s]", begin.elapsed().as_secs() + 10);
    let last = format!("sum by (instance) (last_over_time({COUNT}{window}))");
    let mut scraped = fleet.calls();
    for (instance, calls) in &mut scraped {
        if fleet.has_ended_gracefully(instance) {
            calls.exported = calls.made - crate::fleet::CALLS;
        }
    }
    check("Prometheus", &fleet.prometheus.query(&last), &scraped);

    // The exceptions of all replicas that are still running.
    let live = fleet.live_calls();
    let exceptions = "sum by (instance) (replica_request_exceptions_total)";
    for (instance, found) in fleet.prometheus.query(exceptions) {
        let calls = live.get(&instance).map_or(0, |calls| calls.made);
        assert_eq!(found, (calls / 4) as f64, "exceptions of {instance}");
    }
    increases(&fleet, &window, &expected);
    percentiles(&fleet);
}

/// Checks the last total of each instance, and their sum.
fn check(store: &str, found: &BTreeMap<String, f64>, expected: &BTreeMap<String, Calls>) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "instances in {store}");
    for (instance, Calls { exported, made }) in expected {
        let found = found[instance];
        assert!(
            (*exported as f64..=*made as f64).contains(&found),
            "{instance} in {store}: {found}, not {exported} to {made}"
        );
    }
    let (exported, made) = sums(expected);
    let sum: f64 = found.values().sum();
    println!("{store}: {sum} calls, of {exported} to {made}");
    assert!((exported as f64..=made as f64).contains(&sum));
}

fn sums(calls: &BTreeMap<String, Calls>) -> (u64, u64) {
    calls.values().fold((0, 0), |(exported, made), calls| (exported + calls.exported, made + calls.made))
}

/// Compares the increase over all replicas with the number of calls.
///
/// Calls that a killed replica had not exported are missing. Prometheus also misses those after the last scrape of a
/// replica that ends gracefully. It extrapolates the increase of each series to the ends of the window, by up to half
/// of the time between two samples.
fn increases(fleet: &Fleet, window: &str, expected: &BTreeMap<String, Calls>) {
    let (_, made) = sums(expected);
    let increase = format!("sum(increase({COUNT}{window}))");
    let of = |found: BTreeMap<String, f64>| found.values().sum::<f64>() / made as f64;
    let (scraped, written) = (of(fleet.prometheus.query(&increase)), of(fleet.written.query(&increase)));
    println!("increase over calls: {scraped:.3} in Prometheus, {written:.3} in VictoriaMetrics");
    assert!((0.9..=1.05).contains(&scraped), "{scraped}");
    assert!((0.9..=1.05).contains(&written), "{written}");
}

/// Compares the percentiles of the merged native histograms of all running replicas with the exact ones.
fn percentiles(fleet: &Fleet) {
    let mut exact: Vec<f64> = Vec::new();
    for replica in &fleet.replicas {
        exact.extend((0..replica.calls.made).map(|call| work::seconds(replica.number, call)));
    }
    exact.sort_by(f64::total_cmp);
    let count = wait_for("the last scrape", || {
        let count: f64 = fleet.prometheus.query("histogram_count(sum(fleet_work_seconds))").into_values().sum();
        (count == exact.len() as f64).then_some(count)
    });
    for percentile in [0.5, 0.9, 0.99, 0.999] {
        let found: f64 = fleet
            .prometheus
            .query(&format!("histogram_quantile({percentile}, sum(fleet_work_seconds))"))
            .into_values()
            .sum();
        let rank = (percentile * count).ceil() as usize - 1;
        let error = found / exact[rank] - 1.0;
        println!("{percentile}: {found:.4} s instead of {:.4} s ({:+.2} %)", exact[rank], 100.0 * error);
        // The width of a bucket.
        assert!(error.abs() < GROWTH - 1.0, "{percentile}: {found} instead of {}", exact[rank]);
    }
}

//! Delta temporality: the increases that are sent after successes and failures.

use std::time::{Duration, SystemTime};

use messages::otlp::{Data, Metric};
use metrics_core::{Counter, Gauge, Histogram, Registry, Summary};

use super::receiver::{Received, Receiver, Response};
use super::{data, numbers};

const DELTA: i32 = 1;

/// The integer of the only data point of a sum, the temporality, and the start and time.
fn sum(metrics: &[Metric], name: &str) -> (i64, i32, u64, u64) {
    let Data::Sum(sum) = data(metrics, name) else { panic!("a sum") };
    let [point] = &sum.data_points[..] else { panic!("one series: {sum:?}") };
    (point.as_int.expect("an integer"), sum.aggregation_temporality, point.start_time_unix_nano, point.time_unix_nano)
}

#[test]
fn deltas_are_increases_since_the_last_success() {
    let registry = Registry::new();
    let jobs = Counter::builder("jobs_total", "").register_in(&registry).expect("valid");
    let sizes = Histogram::builder("size_bytes", "").buckets([1.0]).register_in(&registry).expect("valid");
    let waits = Histogram::builder("wait_seconds", "").native().register_in(&registry).expect("valid");
    Gauge::builder("level", "").register_in(&registry).expect("valid").set(5);
    let reads = Summary::builder("read_seconds", "").register_in(&registry).expect("valid");
    let receiver =
        Receiver::start([Response("200 OK", "", Vec::new()), Response("503 Service Unavailable", "", Vec::new())]);
    let target = receiver.target(&registry).delta();
    let record = |n: u32| {
        jobs.inc_by(n);
        for histogram in [&sizes, &waits] {
            (0..n).for_each(|_| histogram.observe(2));
        }
        (0..n).for_each(|_| reads.observe(2));
    };
    record(3);
    target.push().expect("it is received");
    let first = receiver.next();
    let (increase, temporality, start, first_time) = sum(first.metrics(), "jobs_total");
    assert_eq!((increase, temporality), (3, DELTA));
    assert!(0 < start && start <= first_time, "the series was created at {start}");
    record(4);
    target.push().expect_err("it is overloaded");
    receiver.next();
    record(5);
    // A clone shares the state.
    target.clone().push().expect("it is received");
    let third = receiver.next();
    let (increase, temporality, start, time) = sum(third.metrics(), "jobs_total");
    assert_eq!((increase, temporality, start), (9, DELTA, first_time));
    assert!(start < time);
    let Data::Histogram(sizes) = data(third.metrics(), "size_bytes") else { panic!("a histogram") };
    let point = &sizes.data_points[0];
    assert_eq!(
        (sizes.aggregation_temporality, point.start_time_unix_nano, point.count, point.sum),
        (DELTA, first_time, 9, Some(18.0))
    );
    assert_eq!(point.bucket_counts, [0, 9]);
    let Data::ExponentialHistogram(waits) = data(third.metrics(), "wait_seconds") else {
        panic!("an exponential histogram")
    };
    let point = &waits.data_points[0];
    assert_eq!(
        (waits.aggregation_temporality, point.start_time_unix_nano, point.count, point.sum),
        (DELTA, first_time, 9, Some(18.0))
    );
    assert_eq!(point.positive.as_ref().expect("buckets").bucket_counts, [9]);
    // These have no increases.
    assert_eq!(numbers(third.metrics(), "level")[0].as_double, Some(5.0));
    let Data::Summary(reads) = data(third.metrics(), "read_seconds") else { panic!("a summary") };
    assert_eq!((reads.data_points[0].count, reads.data_points[0].start_time_unix_nano < first_time), (12, true));
    target.push().expect("it is received");
    let (increase, _, start, _) = sum(receiver.next().metrics(), "jobs_total");
    assert_eq!((increase, start), (0, time));
}

#[test]
fn only_the_requests_that_succeeded_advance_the_deltas() {
    let registry = Registry::new();
    let builder = Counter::builder("c_total", "").labels(["v"]).max_series(100_000);
    let counter = builder.register_in(&registry).expect("valid");
    let long = "x".repeat(1_000);
    let add = || (0..3_000).for_each(|n| counter.labels([&format!("{n}{long}")]).inc());
    let ok = || Response("200 OK", "", Vec::new());
    let receiver = Receiver::start([ok(), Response("503 Service Unavailable", "", Vec::new())]);
    let target = receiver.target(&registry).delta();
    add();
    target.push().expect_err("the second request fails");
    let increases = |received: &Received| -> Vec<i64> {
        let Data::Sum(sum) = data(received.metrics(), "c_total") else { panic!("a sum") };
        sum.data_points.iter().map(|point| point.as_int.expect("an integer")).collect()
    };
    let delivered: i64 = increases(&receiver.next()).iter().sum();
    assert!((500..1_500).contains(&delivered), "{delivered}");
    let rejected = increases(&receiver.next());
    assert!(rejected.iter().all(|increase| *increase == 1));
    add();
    target.push().expect("it is received");
    let mut total = delivered;
    let mut series = 0;
    while series < 3_000 {
        let increases = increases(&receiver.next());
        assert!(increases.iter().all(|increase| [1, 2].contains(increase)), "{increases:?}");
        series += increases.len();
        total += increases.iter().sum::<i64>();
    }
    assert_eq!((series, total), (3_000, 6_000));
}

#[test]
fn a_recreated_series_begins_a_new_delta() {
    let registry = Registry::new();
    let counter = Counter::builder("c_total", "").labels(["v"]).register_in(&registry).expect("valid");
    let receiver = Receiver::start([]);
    let target = receiver.target(&registry).delta();
    counter.labels(["a"]).inc_by(3);
    target.push().expect("it is received");
    let (_, _, created, time) = sum(receiver.next().metrics(), "c_total");
    counter.remove(["a"]);
    // Creation times are accurate to a tenth of a second.
    let recreated = SystemTime::now() + Duration::from_millis(200);
    while SystemTime::now() < recreated {
        std::thread::yield_now();
    }
    counter.labels(["a"]).inc_by(7);
    target.push().expect("it is received");
    let (increase, _, start, _) = sum(receiver.next().metrics(), "c_total");
    assert_eq!(increase, 7);
    assert!(start > time && time > created, "{start} {time} {created}");
}

#[test]
fn a_request_that_is_rejected_does_not_stop_the_others() {
    let registry = Registry::new();
    // The families are sent in the order of their names, in two requests.
    let large =
        Counter::builder("a_total", "").labels(["of"]).max_series(10_000).register_in(&registry).expect("valid");
    let last = Counter::builder("z_total", "").register_in(&registry).expect("valid");
    for number in 0..4_000 {
        large.labels([&format!("{number:0300}")]).inc();
    }
    last.inc();
    let receiver = Receiver::start([Response("413 Payload Too Large", "", Vec::new())]);
    let target = receiver.target(&registry).delta();
    target.push().expect_err("the first request is rejected");
    receiver.next();
    let second = receiver.next();
    assert_eq!(sum(second.metrics(), "z_total").0, 1);
    // The rejected increases are sent again, and the others are not.
    target.push().expect("it is received");
    let (first, second) = (receiver.next(), receiver.next());
    let Data::Sum(rejected) = data(first.metrics(), "a_total") else { panic!("a sum") };
    assert!(rejected.data_points.len() > 1_000 && rejected.data_points.iter().all(|point| point.as_int == Some(1)));
    assert_eq!(sum(second.metrics(), "z_total").0, 0);
}

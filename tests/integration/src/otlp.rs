//! The requests that are sent with OTLP, and the responses to them.

mod delta;
mod receiver;
mod responses;

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use messages::otlp::{Buckets, Data, KeyValue, Metric, NumberDataPoint};
use metrics_core::{
    Collect, Counter, FamilyInfo, Gauge, Histogram, Info, Kind, LabelValue, Labels, NativeHistogram, Otlp, Registry,
    StateSet, Summary, Value, Visitor,
};

use crate::sample;
use receiver::Receiver;

const CUMULATIVE: i32 = 2;

/// Pushes the registry once and returns its metrics.
fn pushed(registry: &Registry) -> Vec<Metric> {
    let receiver = Receiver::start([]);
    receiver.target(registry).push().expect("it is received");
    receiver.next().metrics().to_vec()
}

fn metric<'a>(metrics: &'a [Metric], name: &str) -> &'a Metric {
    metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("{name} is missing in {metrics:?}"))
}

fn data<'a>(metrics: &'a [Metric], name: &str) -> &'a Data {
    metric(metrics, name).data.as_ref().expect("data")
}

/// Returns the attributes as pairs.
fn pairs(attributes: &[KeyValue]) -> Vec<(&str, &str)> {
    attributes.iter().map(|one| (one.key.as_str(), one.string_value().expect("a string"))).collect()
}

/// The points of a sum or gauge.
fn numbers<'a>(metrics: &'a [Metric], name: &str) -> &'a [NumberDataPoint] {
    match data(metrics, name) {
        Data::Sum(sum) => {
            assert_eq!((sum.aggregation_temporality, sum.is_monotonic), (CUMULATIVE, true));
            &sum.data_points
        }
        Data::Gauge(gauge) => {
            assert_eq!((gauge.aggregation_temporality, gauge.is_monotonic), (0, false));
            &gauge.data_points
        }
        other => panic!("{other:?}"),
    }
}

fn nanoseconds(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).expect("after 1970").as_nanos()).expect("before 2554")
}

#[derive(LabelValue)]
enum Mode {
    On,
    Off,
}

/// Exports series that only collectors can export.
struct Odd;

impl Collect for Odd {
    fn names(&self) -> Vec<String> {
        ["mixed", "odd_total", "summary", "unsorted", "untyped", "whole"].map(str::to_owned).into()
    }

    fn collect(&self, visitor: &mut dyn Visitor) -> Result<(), Box<dyn Error + Send + Sync>> {
        let labels = |value: &str| Labels::of(&[("of", value)]);
        visitor.family(&FamilyInfo::new("mixed", "Mixed.", Kind::Histogram));
        let buckets = [(1.0, 1), (f64::INFINITY, 3)];
        let native = NativeHistogram {
            schema: 2,
            zero_threshold: 0.5,
            zero_count: 0,
            positive: &[(1, 1), (100, 1)],
            negative: &[(-3, 1)],
        };
        let histogram = |native| Value::Histogram { count: 3, sum: -1.5, buckets: &buckets, native };
        visitor.series(labels("a").borrow(), &histogram(None));
        visitor.series(labels("b").borrow(), &histogram(Some(native)));
        visitor.series(labels("c").borrow(), &histogram(None));
        visitor.family(&FamilyInfo::new("odd_total", "Odd.", Kind::Counter));
        visitor.series(labels("large").borrow(), &Value::Counter(metrics_core::Number::Whole(u64::MAX)));
        visitor.series(labels("largest int").borrow(), &Value::Counter(metrics_core::Number::Whole(u64::MAX >> 1)));
        visitor.series(labels("fraction").borrow(), &Value::Counter(metrics_core::Number::Float(0.5)));
        visitor.family(&FamilyInfo::new("summary", "Summary.", Kind::Summary));
        let quantiles = [(0.1, -2.0), (0.5, f64::NAN), (0.9, 3.5)];
        visitor.series(Labels::default(), &Value::Summary { count: 7, sum: -3.5, quantiles: &quantiles });
        visitor.family(&FamilyInfo::new("unsorted", "Unsorted.", Kind::Histogram));
        for (number, buckets) in
            [[(2.0, 1), (1.0, 2)], [(1.0, 2), (2.0, 1)], [(1.0, 2), (f64::INFINITY, 2)]].iter().enumerate()
        {
            let value = Value::Histogram { count: 3, sum: 1.5, buckets, native: None };
            let number = number.to_string();
            visitor.series(labels(&number).borrow(), &value);
        }
        visitor.family(&FamilyInfo::new("untyped", "Untyped.", Kind::Untyped));
        visitor.series(labels("").borrow(), &Value::Untyped(f64::NEG_INFINITY));
        visitor.series(labels("\"q\" \\ été\n").borrow(), &Value::Untyped(f64::NAN));
        Ok(())
    }
}

#[test]
fn counters_and_gauges_are_numbers() {
    let before = nanoseconds(SystemTime::now());
    let registry = Registry::new();
    let jobs = Counter::builder("jobs_total", "Jobs.").labels(["path"]).register_in(&registry).expect("valid");
    jobs.labels(["/a"]).inc_by(3);
    jobs.labels(["/b"]).inc_by(1_u64 << 60);
    jobs.labels(["/c"]).inc_by(0.25);
    let load = Gauge::builder("load_ratio", "Load.").register_in(&registry).expect("valid");
    load.set(-1.5);
    let _build = Info::builder("build_info", "").const_label("version", "1.2").register_in(&registry).expect("valid");
    let mode = StateSet::builder("mode", "").register_in(&registry).expect("valid");
    mode.set(&Mode::Off);
    mode.set(&Mode::On);
    registry.register_collector(Odd).expect("valid");
    let created = nanoseconds(SystemTime::now());
    let metrics = pushed(&registry);
    let after = nanoseconds(SystemTime::now());
    let points = numbers(&metrics, "jobs_total");
    let values: Vec<_> = points.iter().map(|point| (pairs(&point.attributes), point.as_int, point.as_double)).collect();
    assert_eq!(
        values,
        [
            (vec![("path", "/a")], Some(3), None),
            (vec![("path", "/b")], Some(1 << 60), None),
            (vec![("path", "/c")], None, Some(0.25))
        ]
    );
    // Creation times are rounded down by at most a tenth of a second.
    let earliest = before - 100_000_000;
    for point in points {
        assert!(
            (earliest..=created).contains(&point.start_time_unix_nano)
                && (created..=after).contains(&point.time_unix_nano),
            "{point:?}"
        );
    }
    let points = numbers(&metrics, "odd_total");
    let values: Vec<_> = points.iter().map(|point| (point.as_int, point.as_double)).collect();
    assert_eq!(values, [(None, Some(u64::MAX as f64)), (Some(i64::MAX), None), (None, Some(0.5))]);
    for point in points {
        assert!(
            (created..=point.time_unix_nano).contains(&point.start_time_unix_nano),
            "the target was created later: {point:?}"
        );
    }
    let [load] = numbers(&metrics, "load_ratio") else { panic!("one series") };
    assert_eq!((load.as_double, load.as_int, load.start_time_unix_nano), (Some(-1.5), None, 0));
    let [build] = numbers(&metrics, "build_info") else { panic!("one series") };
    assert_eq!((build.as_double, pairs(&build.attributes)), (Some(1.0), vec![("version", "1.2")]));
    let modes: Vec<_> =
        numbers(&metrics, "mode").iter().map(|point| (pairs(&point.attributes), point.as_double)).collect();
    assert_eq!(modes, [(vec![("mode", "on")], Some(1.0)), (vec![("mode", "off")], Some(0.0))]);
    let [empty, odd] = numbers(&metrics, "untyped") else { panic!("two series") };
    assert_eq!((pairs(&empty.attributes), empty.as_double), (vec![("of", "")], Some(f64::NEG_INFINITY)));
    assert_eq!(pairs(&odd.attributes), [("of", "\"q\" \\ été\n")]);
    assert!(odd.as_double.is_some_and(f64::is_nan), "{odd:?}");
}

#[test]
fn histograms_have_counts_between_bounds() {
    let registry = Registry::new();
    let sizes = Histogram::builder("size_bytes", "Sizes.").buckets([1.0, 4.0]).register_in(&registry).expect("valid");
    for size in [0.5, 2.0, 4.0, 9.0] {
        sizes.observe(size);
    }
    registry.register_collector(Odd).expect("valid");
    let metrics = pushed(&registry);
    let Data::Histogram(histogram) = data(&metrics, "size_bytes") else { panic!("a histogram") };
    let [point] = &histogram.data_points[..] else { panic!("one series") };
    assert_eq!(histogram.aggregation_temporality, CUMULATIVE);
    assert_eq!((point.count, point.sum), (4, Some(15.5)));
    assert_eq!((&point.bucket_counts[..], &point.explicit_bounds[..]), (&[1, 2, 1][..], &[1.0, 4.0][..]));
    assert!(0 < point.start_time_unix_nano && point.start_time_unix_nano <= point.time_unix_nano, "{point:?}");
    assert!(metrics.iter().all(|metric| metric.name != "unsorted"), "{metrics:?}");
}

#[test]
fn histograms_with_native_buckets_are_exponential() {
    let registry = Registry::new();
    let latency = Histogram::builder("latency_seconds", "Latency.").native().register_in(&registry).expect("valid");
    for value in [0.0, 1.0, 1.0, 4.0, -2.0] {
        latency.observe(value);
    }
    registry.register_collector(Odd).expect("valid");
    let metrics = pushed(&registry);
    let Data::ExponentialHistogram(histogram) = data(&metrics, "latency_seconds") else {
        panic!("an exponential histogram")
    };
    let [point] = &histogram.data_points[..] else { panic!("one series") };
    assert_eq!(histogram.aggregation_temporality, CUMULATIVE);
    assert_eq!((point.count, point.sum, point.zero_count), (5, Some(4.0), 1));
    assert!(0.0 < point.zero_threshold && point.zero_threshold < 1e-30, "{point:?}");
    assert!(0 < point.start_time_unix_nano && point.start_time_unix_nano <= point.time_unix_nano, "{point:?}");
    let per_octave = 1 << point.scale;
    // The values 1, 4 and -2 are the upper bounds of their buckets.
    let positive = point.positive.as_ref().expect("buckets");
    assert_eq!((positive.offset, positive.bucket_counts.len()), (-1, 2 * per_octave + 1));
    assert_eq!((positive.bucket_counts[0], positive.bucket_counts[2 * per_octave]), (2, 1));
    assert_eq!(positive.bucket_counts.iter().sum::<u64>(), 3);
    let offset = i32::try_from(per_octave).expect("few") - 1;
    assert_eq!(point.negative, Some(Buckets { offset, bucket_counts: vec![1] }));
}

#[test]
fn a_family_with_different_series_becomes_several_metrics() {
    let registry = Registry::new();
    registry.register_collector(Odd).expect("valid");
    let metrics = pushed(&registry);
    let mixed: Vec<&Metric> = metrics.iter().filter(|metric| metric.name == "mixed").collect();
    let [Some(Data::Histogram(a)), Some(Data::ExponentialHistogram(b)), Some(Data::Histogram(c))] =
        [&mixed[0].data, &mixed[1].data, &mixed[2].data]
    else {
        panic!("{mixed:?}")
    };
    assert_eq!((mixed.len(), a.data_points.len(), b.data_points.len(), c.data_points.len()), (3, 1, 1, 1));
    let [b] = &b.data_points[..] else { panic!("one series") };
    assert_eq!((b.scale, b.count, b.zero_count, b.zero_threshold), (2, 3, 0, 0.5));
    let mut counts = vec![0; 100];
    (counts[0], counts[99]) = (1, 1);
    assert_eq!(b.positive, Some(Buckets { offset: 0, bucket_counts: counts }));
    assert_eq!(b.negative, Some(Buckets { offset: -4, bucket_counts: vec![1] }));
    assert_eq!(pairs(&b.attributes), [("of", "b")]);
    assert_eq!(pairs(&c.data_points[0].attributes), [("of", "c")]);
}

#[test]
fn summaries_keep_their_quantiles() {
    let registry = Registry::new();
    let builder = Summary::builder("read_seconds", "Reads.").quantiles([0.5, 1.0]);
    let reads = builder.labels(["disk"]).register_in(&registry).expect("valid");
    reads.labels(["sda"]).observe(0.25);
    registry.register_collector(Odd).expect("valid");
    let receiver = Receiver::start([]);
    receiver.target(&registry).name("quantiles").push().expect("it is received");
    let received = receiver.next();
    let Data::Summary(summary) = data(received.metrics(), "read_seconds") else { panic!("a summary") };
    let [point] = &summary.data_points[..] else { panic!("one series") };
    assert_eq!((point.count, point.sum, pairs(&point.attributes)), (1, 0.25, vec![("disk", "sda")]));
    assert!(0 < point.start_time_unix_nano && point.start_time_unix_nano <= point.time_unix_nano, "{point:?}");
    let quantiles: Vec<f64> = point.quantile_values.iter().map(|one| one.quantile).collect();
    assert_eq!(quantiles, [0.5, 1.0]);
    assert!(point.quantile_values.iter().all(|one| (0.24..0.26).contains(&one.value)), "{point:?}");
    let Data::Summary(odd) = data(received.metrics(), "summary") else { panic!("a summary") };
    let [point] = &odd.data_points[..] else { panic!("one series") };
    let [nan, high] = &point.quantile_values[..] else { panic!("the negative one is skipped: {point:?}") };
    assert!(nan.value.is_nan() && (high.quantile, high.value) == (0.9, 3.5), "{point:?}");
    assert_eq!((point.count, point.sum), (7, -3.5));
    // Three histograms and a quantile cannot be represented.
    assert_eq!(sample("metrics_core_push_samples_dropped_total{target=\"quantiles\"}"), Some(4.0));
}

#[test]
fn exemplars_have_trace_and_span_ids() {
    let registry = Registry::new();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let jobs = Counter::builder("jobs_total", "Jobs.").register_in(&registry).expect("valid");
    jobs.inc_by_with_exemplar(2.5, || [("trace_id", trace), ("span_id", "00f067aa0ba902b7"), ("user", "7")]);
    let sizes = Histogram::builder("size_bytes", "Sizes.").buckets([1.0]).register_in(&registry).expect("valid");
    sizes.observe_with_exemplar(0.5, || [("trace_id", "00000000000000000000000000000000"), ("span_id", "xyz")]);
    let native = Histogram::builder("wait_seconds", "Waits.").native().buckets([1.0]).register_in(&registry);
    native.expect("valid").observe_with_exemplar(7.0, || [("trace_id", trace)]);
    let metrics = pushed(&registry);
    let [job] = numbers(&metrics, "jobs_total") else { panic!("one series") };
    let [exemplar] = &job.exemplars[..] else { panic!("{job:?}") };
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
    };
    assert_eq!(exemplar.trace_id, bytes(trace));
    assert_eq!(exemplar.span_id, bytes("00f067aa0ba902b7"));
    assert_eq!((exemplar.as_double, pairs(&exemplar.filtered_attributes)), (Some(2.5), vec![("user", "7")]));
    let age = nanoseconds(SystemTime::now()).abs_diff(exemplar.time_unix_nano);
    assert!(age < Duration::from_secs(60).as_nanos() as u64, "{exemplar:?}");
    let Data::Histogram(sizes) = data(&metrics, "size_bytes") else { panic!("a histogram") };
    let [exemplar] = &sizes.data_points[0].exemplars[..] else { panic!("{sizes:?}") };
    assert!(exemplar.trace_id.is_empty() && exemplar.span_id.is_empty(), "{exemplar:?}");
    let invalid = [("trace_id", "00000000000000000000000000000000"), ("span_id", "xyz")];
    assert_eq!(pairs(&exemplar.filtered_attributes), invalid);
    let Data::ExponentialHistogram(waits) = data(&metrics, "wait_seconds") else { panic!("an exponential histogram") };
    let [exemplar] = &waits.data_points[0].exemplars[..] else { panic!("{waits:?}") };
    assert_eq!((exemplar.as_double, exemplar.trace_id.len()), (Some(7.0), 16));
}

#[test]
fn units_are_codes_unless_receivers_would_append_them() {
    let registry = Registry::new();
    let gauge = |name: &str| Gauge::builder(name, "Help.").register_in(&registry).expect("valid");
    for name in ["a_seconds", "b_bytes", "c_ratio", "d", "e_second", "seconds"] {
        gauge(name);
    }
    Counter::builder("f_seconds_total", "").register_in(&registry).expect("valid");
    for (name, unit) in [("g_joules", "joules"), ("h_requests", "requests"), ("i_bytes_per_second", "bytes_per_second")]
    {
        Gauge::builder(name, "").unit(unit).register_in(&registry).expect("valid");
    }
    let metrics = pushed(&registry);
    let units: Vec<(&str, &str)> = metrics.iter().map(|metric| (metric.name.as_str(), metric.unit.as_str())).collect();
    let expected = [
        ("a_seconds", "s"),
        ("b_bytes", "By"),
        ("c_ratio", "1"),
        ("d", ""),
        ("e_second", ""),
        ("f_seconds_total", "s"),
        ("g_joules", "J"),
        ("h_requests", "{requests}"),
        ("i_bytes_per_second", "{bytes_per_second}"),
        ("seconds", "s"),
    ];
    assert_eq!(units, expected);
    assert_eq!(metric(&metrics, "a_seconds").description, "Help.");
}

#[test]
fn a_request_has_a_resource_and_a_scope() {
    let registry = Registry::new();
    Gauge::builder("g", "").register_in(&registry).expect("valid");
    let receiver = Receiver::start([]);
    let target = Otlp::new(&receiver.url).registry(&registry);
    target.clone().resource("service.name", "shop").resource("host.name", "").push().expect("it is received");
    Otlp::with_url(format!("{}/opentelemetry/v1/metrics?x=y", receiver.url))
        .registry(&registry)
        .gzip(false)
        .resource("service.instance.id", "i-1")
        .header("X-Scope-OrgID", "7")
        .push()
        .expect("it is received");
    let first = receiver.next();
    assert!(first.head.starts_with("post /v1/metrics http/1.1\n"), "{}", first.head);
    assert!(first.head.contains("\ncontent-type: application/x-protobuf\n"), "{}", first.head);
    assert!(first.head.contains("\ncontent-encoding: gzip\n"), "{}", first.head);
    let resource = &first.request.resource_metrics[0];
    let attributes = pairs(&resource.resource.as_ref().expect("a resource").attributes);
    let value = |key: &str| attributes.iter().find(|(one, _)| *one == key).map(|(_, value)| *value);
    assert_eq!((value("service.name"), value("host.name")), (Some("shop"), Some("")));
    assert_eq!(value("telemetry.sdk.name"), Some("metrics-core"));
    assert_eq!(value("service.instance.id").map(str::len), Some(36));
    let scope = resource.scope_metrics[0].scope.as_ref().expect("a scope");
    assert_eq!(scope.name, "metrics-core");
    assert!(scope.version.starts_with(|c: char| c.is_ascii_digit()), "{scope:?}");
    let second = receiver.next();
    assert!(second.head.starts_with("post /opentelemetry/v1/metrics?x=y http/1.1\n"), "{}", second.head);
    assert!(second.head.contains("\nx-scope-orgid: 7\n"), "{}", second.head);
    assert!(!second.head.contains("content-encoding"), "{}", second.head);
    let resource = second.request.resource_metrics[0].resource.as_ref().expect("a resource");
    let attributes = pairs(&resource.attributes);
    assert!(attributes.contains(&("service.instance.id", "i-1")), "{attributes:?}");
    assert!(attributes.iter().any(|(key, value)| *key == "service.name" && value.starts_with("unknown_service:")));
}

#[test]
fn an_empty_registry_is_pushed_too() {
    let receiver = Receiver::start([]);
    receiver.target(&Registry::new()).push().expect("it is received");
    assert_eq!(receiver.next().metrics(), []);
    assert_eq!(receiver.count(), 0);
}

#[test]
fn large_families_are_sent_in_several_requests() {
    let registry = Registry::new();
    let gauge = Gauge::builder("g", "Help.").labels(["v"]).max_series(100_000).register_in(&registry).expect("valid");
    let long = "x".repeat(1_000);
    for n in 0..5_000 {
        gauge.labels([&format!("{n}{long}")]).set(n);
    }
    Gauge::builder("last", "").register_in(&registry).expect("valid").set(1);
    let receiver = Receiver::start([]);
    receiver.target(&registry).push().expect("it is received");
    let mut values = Vec::new();
    let mut requests = 0;
    loop {
        let received = receiver.next();
        requests += 1;
        assert!(received.sent < 1_500_000, "{} bytes", received.sent);
        let of_g = metric(received.metrics(), "g");
        assert_eq!(of_g.description, "Help.");
        values.extend(numbers(received.metrics(), "g").iter().filter_map(|point| point.as_double));
        if received.metrics().iter().any(|metric| metric.name == "last") {
            break;
        }
    }
    assert!((4..=6).contains(&requests), "{requests}");
    assert_eq!(receiver.count(), 0);
    values.sort_unstable_by(f64::total_cmp);
    assert_eq!(values, (0..5_000).map(f64::from).collect::<Vec<_>>());
}

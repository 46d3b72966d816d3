//! OTLP, as the official types and VictoriaMetrics read it.

mod official;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics_core::{
    Counter, FamilyInfo, Gauge, Histogram, Kind, Labels, Otlp, Registry, Summary, Value as Sample, Visitor,
};
use serde_json::{Value, json};

use crate::graphite::everything;
use crate::victoria::Victoria;
use crate::wait_for;
use official::Official;

fn nanoseconds() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos()).expect("before 2554")
}

/// Removes all times from a message, and checks them.
fn remove_times(value: &mut Value, range: (u64, u64)) {
    match value {
        Value::Object(fields) => {
            let mut time = |name| {
                let text = fields.remove(name)?;
                Some(text.as_str().and_then(|text| text.parse::<u64>().ok()).expect("a number"))
            };
            let (start, time) = (time("start_time_unix_nano"), time("time_unix_nano"));
            for time in start.into_iter().chain(time) {
                assert!((range.0..=range.1).contains(&time), "{time} is not in {range:?}");
            }
            assert!(start.is_none() || start <= time, "{start:?} is after {time:?}");
            fields.values_mut().for_each(|value| remove_times(value, range));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| remove_times(value, range)),
        _ => {}
    }
}

/// Attributes, as the official types print them.
fn attributes(pairs: &[(&str, &str)]) -> Value {
    pairs.iter().map(|(key, value)| json!({"key": key, "value": {"string_value": value}})).collect()
}

#[test]
fn the_official_types_read_every_field() {
    // Creation times are rounded down by at most a tenth of a second.
    let before = nanoseconds() - 100_000_000;
    let registry = Registry::new();
    let jobs = Counter::builder("jobs_total", "Jobs.").labels(["path"]).register_in(&registry).expect("valid");
    let trace = [("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"), ("span_id", "00f067aa0ba902b7"), ("user", "7")];
    jobs.labels(["/a"]).inc_by_with_exemplar(3, || trace);
    jobs.labels(["/b"]).inc_by(0.5);
    let level = Gauge::builder("level_bytes", "Level.").unit("bytes").labels(["of"]).register_in(&registry);
    let level = level.expect("valid");
    level.labels(["été \"\\\n"]).set(-2);
    level.labels(["nan"]).set(f64::NAN);
    let reads = Summary::builder("read_seconds", "Reads.").quantiles([1.0]).register_in(&registry).expect("valid");
    reads.observe(0.0);
    let sizes = Histogram::builder("size", "Sizes.").buckets([1.0, 4.0]).register_in(&registry).expect("valid");
    sizes.observe_with_exemplar(3.0, || [("user", "8")]);
    sizes.observe(9.0);
    let waits = Histogram::builder("wait_seconds", "Waits.").native_factor(2.0).buckets([1.0]).register_in(&registry);
    let waits = waits.expect("valid");
    for wait in [0.0, 2.0, 8.0, 8.0, -1.0] {
        waits.observe(wait);
    }
    waits.observe_with_exemplar(0.25, || [("user", "9")]);

    let mut official = Official::start();
    let target = Otlp::new(&official.url)
        .registry(&registry)
        .resource("service.name", "shop")
        .resource("service.instance.id", "i-1")
        .resource("telemetry.sdk.version", "1.2.3");
    target.push().expect("it is received");
    let mut received = official.next();
    remove_times(&mut received, (before, nanoseconds()));
    let scope = received["request"]["resource_metrics"][0]["scope_metrics"][0]["scope"].take();
    assert_eq!(scope["name"], "metrics-core");
    assert!(scope["version"].as_str().is_some_and(|version| version.split('.').count() == 3), "{scope}");
    let metrics = received["request"]["resource_metrics"][0]["scope_metrics"][0]["metrics"].take();
    let threshold = 2.0_f64.powi(-128);
    let expected = json!([
        {"name": "jobs_total", "description": "Jobs.", "sum": {
            "aggregation_temporality": "AGGREGATION_TEMPORALITY_CUMULATIVE",
            "is_monotonic": true,
            "data_points": [
                {"attributes": attributes(&[("path", "/a")]), "as_int": "3", "exemplars": [{
                    "as_double": 3.0,
                    "trace_id": "S/kvNXezTaajzpKdDg5HNg==",
                    "span_id": "APBnqgupArc=",
                    "filtered_attributes": attributes(&[("user", "7")]),
                }]},
                {"attributes": attributes(&[("path", "/b")]), "as_double": 0.5},
            ],
        }},
        {"name": "level_bytes", "description": "Level.", "unit": "By", "gauge": {"data_points": [
            {"attributes": attributes(&[("of", "été \"\\\n")]), "as_double": -2.0},
            {"attributes": attributes(&[("of", "nan")]), "as_double": "NaN"},
        ]}},
        {"name": "read_seconds", "description": "Reads.", "unit": "s", "summary": {"data_points": [
            {"count": "1", "quantile_values": [{"quantile": 1.0}]},
        ]}},
        {"name": "size", "description": "Sizes.", "histogram": {
            "aggregation_temporality": "AGGREGATION_TEMPORALITY_CUMULATIVE",
            "data_points": [{
                "count": "2",
                "sum": 12.0,
                "bucket_counts": ["0", "1", "1"],
                "explicit_bounds": [1.0, 4.0],
                "exemplars": [{"as_double": 3.0, "filtered_attributes": attributes(&[("user", "8")])}],
            }],
        }},
        {"name": "wait_seconds", "description": "Waits.", "unit": "s", "exponential_histogram": {
            "aggregation_temporality": "AGGREGATION_TEMPORALITY_CUMULATIVE",
            "data_points": [{
                "count": "6",
                "sum": 17.25,
                "zero_count": "1",
                "zero_threshold": threshold,
                // Without a scale, there is one bucket for each factor of 2.
                "positive": {"offset": -3, "bucket_counts": ["1", "0", "0", "1", "0", "2"]},
                "negative": {"offset": -1, "bucket_counts": ["1"]},
                "exemplars": [{"as_double": 0.25, "filtered_attributes": attributes(&[("user", "9")])}],
            }],
        }},
    ]);
    assert_eq!(metrics, expected, "{metrics:#}");
    let resource = attributes(&[
        ("service.instance.id", "i-1"),
        ("service.name", "shop"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.name", "metrics-core"),
        ("telemetry.sdk.version", "1.2.3"),
    ]);
    let expected = json!({
        "path": "/v1/metrics",
        "type": "application/x-protobuf",
        "encoding": "gzip",
        "has_unknown_fields": false,
        "request": {"resource_metrics": [{
            "resource": {"attributes": resource},
            "scope_metrics": [{"scope": null, "metrics": null}],
        }]},
    });
    assert_eq!(received, expected, "{received:#}");

    // The next push sends only the increase.
    let delta = target.clone().gzip(false).delta();
    delta.push().expect("it is received");
    jobs.labels(["/a"]).inc_by(4);
    waits.observe(2.0);
    official.next();
    delta.push().expect("it is received");
    let received = official.next();
    assert_eq!((&received["encoding"], &received["has_unknown_fields"]), (&Value::Null, &json!(false)));
    let metrics = &received["request"]["resource_metrics"][0]["scope_metrics"][0]["metrics"];
    let jobs = &metrics[0]["sum"];
    assert_eq!(jobs["aggregation_temporality"], "AGGREGATION_TEMPORALITY_DELTA");
    let jobs: Vec<&Value> = (0..2).map(|at| &jobs["data_points"][at]["as_int"]).collect();
    assert_eq!(jobs[0], "4", "{metrics:#}");
    let waits = &metrics[4]["exponential_histogram"];
    assert_eq!(waits["aggregation_temporality"], "AGGREGATION_TEMPORALITY_DELTA");
    assert_eq!(waits["data_points"][0]["positive"], json!({"bucket_counts": ["1"]}));
}

#[test]
fn an_official_partial_success_is_counted() {
    let registry = Registry::new();
    let gauge = Gauge::builder("g", "").labels(["n"]).register_in(&registry).expect("valid");
    (0..300).for_each(|n| gauge.labels([&n.to_string()]).set(n));
    let mut official = Official::start();
    let target = Otlp::with_url(format!("{}/v1/metrics?reject=299", official.url)).registry(&registry).name("partial");
    target.push().expect("it is received");
    assert_eq!(official.next()["path"], "/v1/metrics?reject=299");
    let text = Registry::global().to_text();
    assert!(text.contains("\nmetrics_core_push_samples_dropped_total{target=\"partial\"} 299\n"), "{text}");
}

/// The samples of the text format: the name and the labels, and the value.
#[derive(Default)]
struct Samples {
    family: String,
    samples: BTreeMap<(String, BTreeMap<String, String>), f64>,
}

impl Samples {
    fn of(registry: &Registry) -> Self {
        let mut samples = Self::default();
        registry.scrape().visit(&mut samples);
        samples
    }

    fn insert(&mut self, suffix: &str, labels: Labels<'_>, more: Option<(&str, f64)>, value: f64) {
        // VictoriaMetrics does not store labels without a value, and does not return NaN values.
        let labels = labels.iter().filter(|(_, value)| !value.is_empty());
        let mut labels: BTreeMap<_, _> = labels.map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
        labels.extend(more.map(|(name, value)| (name.to_owned(), value.to_string())));
        if !value.is_nan() {
            self.samples.insert((format!("{}{suffix}", self.family), labels), value);
        }
    }
}

impl Visitor for Samples {
    fn family(&mut self, family: &FamilyInfo<'_>) {
        family.name.clone_into(&mut self.family);
        assert!(family.kind != Kind::Counter || family.name.ends_with("_total"));
    }

    fn series(&mut self, labels: Labels<'_>, value: &Sample<'_>) {
        match *value {
            Sample::Counter(total) => self.insert("", labels, None, total.as_f64()),
            Sample::Gauge(value) | Sample::Untyped(value) => self.insert("", labels, None, value),
            Sample::Summary { count, sum, quantiles } => {
                for (quantile, value) in quantiles {
                    self.insert("", labels, Some(("quantile", *quantile)), *value);
                }
                self.insert("_count", labels, None, count as f64);
                self.insert("_sum", labels, None, sum);
            }
            Sample::Histogram { count, sum, buckets, native } => {
                // VictoriaMetrics divides native histograms into ranges.
                for (bound, count) in buckets.iter().filter(|_| native.is_none()) {
                    self.insert("_bucket", labels, Some(("le", *bound)), *count as f64);
                }
                self.insert("_count", labels, None, count as f64);
                self.insert("_sum", labels, None, sum);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Returns the last samples in VictoriaMetrics, without the labels of the resource.
fn in_victoria(victoria: &Victoria) -> Samples {
    let mut found = Samples::default();
    for (labels, samples) in victoria.series("{service_name=\"shop\"}") {
        let mut labels: BTreeMap<String, String> = serde_json::from_value(labels).expect("labels");
        let name = labels.remove("__name__").expect("a name");
        labels.retain(|name, _| {
            !["service_name", "service_instance_id"].contains(&name.as_str()) && !name.starts_with("telemetry_sdk_")
        });
        for name in ["le", "quantile"] {
            if let Some(value) = labels.get_mut(name) {
                *value = value.replace("Inf", "inf").parse::<f64>().expect("a number").to_string();
            }
        }
        let (_, value) = samples.last().expect("a sample");
        if !labels.contains_key("vmrange") {
            found.samples.insert((name, labels), *value);
        }
    }
    found
}

fn target(victoria: &Victoria, registry: &Registry) -> Otlp {
    Otlp::with_url(victoria.otlp_url()).registry(registry).resource("service.name", "shop")
}

#[test]
fn victoria_metrics_shows_the_names_and_values_of_the_exposition() {
    let registry = everything();
    let level = Gauge::builder("free_ratio", "").unit("ratio").register_in(&registry).expect("valid");
    level.set(0.25);
    Gauge::builder("queue_requests", "").unit("requests").register_in(&registry).expect("valid").set(3);
    Counter::builder("sent_bytes_total", "").unit("bytes").register_in(&registry).expect("valid").inc_by(5);
    Counter::builder("busy_seconds_total", "").register_in(&registry).expect("valid").inc_by(1.5);
    let waits = Histogram::builder("wait_seconds", "").native().register_in(&registry).expect("valid");
    (1..=100).for_each(|wait| waits.observe(wait));
    let victoria = Victoria::start();
    target(&victoria, &registry).push().expect("it is received");
    // VictoriaMetrics replaces colons, which Prometheus reserves for recording rules.
    let named = |((name, labels), value): ((String, _), f64)| ((name.replace(':', "_"), labels), value);
    let expected: BTreeMap<_, _> = Samples::of(&registry).samples.into_iter().map(named).collect();
    let found = wait_for("all samples", || {
        let found = in_victoria(&victoria).samples;
        (found.len() >= expected.len()).then_some(found)
    });
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for ((key, found), expected) in found.iter().zip(expected.values()) {
        // VictoriaMetrics keeps 15 decimal digits.
        let is_same = found == expected || (found / expected - 1.0).abs() < 1e-14;
        assert!(is_same, "{key:?}: {found} instead of {expected}");
    }
    let median = victoria.query("histogram_quantile(0.5, wait_seconds_bucket)");
    let [(_, median)] = &median[..] else { panic!("{median:?}") };
    assert!((45.0..56.0).contains(median), "{median}");
}

/// Returns the number of pushes with this outcome.
fn pushes(target: &str, outcome: &str) -> f64 {
    let name = format!("metrics_core_push_total{{target=\"{target}\",outcome=\"{outcome}\"}} ");
    let text = Registry::global().to_text();
    text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).expect("it is there")
}

fn wait_for_a_failure(target: &str) {
    let before = pushes(target, "error");
    wait_for("a push that fails", || (pushes(target, "error") > before).then_some(()));
}

const INTERVAL: Duration = Duration::from_millis(200);

#[test]
fn totals_are_right_after_victoria_metrics_was_away() {
    let registry = Registry::new();
    let counter = Counter::builder("kept_total", "").register_in(&registry).expect("valid");
    let histogram = Histogram::builder("kept_seconds", "").native().register_in(&registry).expect("valid");
    let mut victoria = Victoria::start();
    let pusher = target(&victoria, &registry).name("away").start(INTERVAL).expect("a thread");
    let record = || {
        counter.inc_by(3);
        histogram.observe(2);
    };
    let shows = |victoria: &Victoria, total: f64| {
        wait_for(&format!("a total of {total}"), || {
            let samples = in_victoria(victoria).samples;
            let last = |name: &str| samples.get(&(name.to_owned(), BTreeMap::new())).copied();
            let is_shown = last("kept_total") == Some(3.0 * total)
                && last("kept_seconds_count") == Some(total)
                && last("kept_seconds_sum") == Some(2.0 * total);
            is_shown.then_some(())
        });
    };
    record();
    shows(&victoria, 1.0);
    for total in [2.0, 3.0] {
        victoria.kill();
        record();
        wait_for_a_failure("away");
        victoria.start_again();
        shows(&victoria, total);
    }
    record();
    pusher.shutdown().expect("it is received");
    shows(&victoria, 4.0);
}

#[test]
fn increases_add_up_after_a_receiver_was_away() {
    let registry = Registry::new();
    let counter = Counter::builder("kept_total", "").register_in(&registry).expect("valid");
    let histogram = Histogram::builder("kept_seconds", "").native().register_in(&registry).expect("valid");
    let mut official = Official::start();
    let target = Otlp::new(&official.url).registry(&registry).delta().name("away_delta");
    let pusher = target.start(INTERVAL).expect("a thread");
    let (mut count, mut total, mut buckets) = (0, 0, 0);
    let mut add = |received: &Value| {
        let metrics = &received["request"]["resource_metrics"][0]["scope_metrics"][0]["metrics"];
        let number = |value: &Value| value.as_str().map_or(0, |text| text.parse::<u64>().expect("a number"));
        let histogram = &metrics[0]["exponential_histogram"]["data_points"][0];
        count += number(&histogram["count"]);
        buckets += histogram["positive"]["bucket_counts"].as_array().into_iter().flatten().map(number).sum::<u64>();
        total += number(&metrics[1]["sum"]["data_points"][0]["as_int"]);
        total
    };
    for round in 1..=3 {
        while add(&official.next()) < 3 * (round - 1) {}
        official.stop().iter().for_each(|received| _ = add(received));
        // These are sent after the outage.
        counter.inc_by(3);
        histogram.observe(2);
        wait_for_a_failure("away_delta");
        official.start_again();
    }
    counter.inc_by(3);
    histogram.observe(2);
    pusher.shutdown().expect("it is received");
    official.stop().iter().for_each(|received| _ = add(received));
    assert_eq!((total, count, buckets), (12, 4, 4));
}

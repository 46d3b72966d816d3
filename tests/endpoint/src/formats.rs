//! Exact OpenMetrics output, and protobuf output as read by a third-party decoder.

use std::collections::BTreeMap;

use messages::exposition::MetricFamily;
use metrics_core::{Counter, FamilyInfo, Format, Gauge, Histogram, Kind, Labels, Number, Registry, Summary, Value};
use prost::Message;

use crate::collectors::{register, show};

fn encoded(registry: &Registry, format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    registry.encode(format, &mut out);
    out
}

fn openmetrics(registry: &Registry) -> String {
    String::from_utf8(encoded(registry, Format::OpenMetrics)).expect("UTF-8")
}

/// Returns a registry with every type of metric and with text that must be escaped.
fn everything() -> Registry {
    let registry = Registry::with_const_labels([("zone", "a\"b")]).expect("valid");
    let counter = Counter::builder("jobs_total", "A \"quoted\" \\ back\nslash.").labels(["kind"]);
    let counter = counter.register_in(&registry).expect("valid");
    counter.labels(["say \"hi\"\\\n\u{1F600}"]).inc_by(3);
    counter.labels([""]).inc_by(0.5);
    Gauge::builder("queue_length", "").register_in(&registry).expect("valid").set(-2.5);
    let summary = Summary::builder("wait_seconds", "Waiting.").unit("seconds").register_in(&registry).expect("valid");
    summary.observe(0.25);
    summary.observe(1.5);
    let histogram = Histogram::builder("size_bytes", "Sizes.").buckets([0.5, 1.0, 2e6]).labels(["of"]);
    let histogram = histogram.register_in(&registry).expect("valid").labels(["x"]);
    for size in [0.1, 1.0, 3e6] {
        histogram.observe(size);
    }
    registry
}

#[test]
fn every_type_in_openmetrics() {
    let expected = r#"# TYPE jobs counter
# HELP jobs A \"quoted\" \\ back\nslash.
jobs_total{zone="a\"b",kind="say \"hi\"\\\n😀"} 3
jobs_total{zone="a\"b",kind=""} 0.5
# TYPE queue_length gauge
queue_length{zone="a\"b"} -2.5
# TYPE size_bytes histogram
# HELP size_bytes Sizes.
size_bytes_bucket{zone="a\"b",of="x",le="0.5"} 1
size_bytes_bucket{zone="a\"b",of="x",le="1.0"} 2
size_bytes_bucket{zone="a\"b",of="x",le="2e+06"} 2
size_bytes_bucket{zone="a\"b",of="x",le="+Inf"} 3
size_bytes_sum{zone="a\"b",of="x"} 3000001.1
size_bytes_count{zone="a\"b",of="x"} 3
# TYPE wait_seconds summary
# UNIT wait_seconds seconds
# HELP wait_seconds Waiting.
wait_seconds_sum{zone="a\"b"} 1.75
wait_seconds_count{zone="a\"b"} 2
# EOF
"#;
    assert_eq!(openmetrics(&everything()), expected);
    assert_eq!(openmetrics(&Registry::new()), "# EOF\n");
}

#[test]
fn metrics_that_openmetrics_cannot_express() {
    let registry = Registry::new();
    // A third-party counter may lack the suffix `_total`, even if the name with the suffix is also registered. The
    // sample names of such counters are exported unchanged.
    let jobs = prometheus::IntCounter::new("jobs", "Jobs.").expect("valid");
    let jobs_total = prometheus::IntCounter::new("jobs_total", "All jobs.").expect("valid");
    let runs_total = prometheus::IntCounter::new("runs_total", "Runs.").expect("valid");
    for counter in [&jobs, &jobs_total, &runs_total] {
        registry.register_prometheus_collector(Box::new(counter.clone())).expect("valid");
        counter.inc();
    }
    let names = ["c_total", "h", "hn", "q", "runs_created", "s", "s_created", "u"];
    register(&registry, &names, |visitor| {
        let counters = [f64::NAN, -1.0, 2.0].map(|value| Value::Counter(Number::Float(value)));
        show(visitor, "c_total", Kind::Counter, &counters);
        let buckets = [(1.0, 1), (f64::INFINITY, 2)];
        show(
            visitor,
            "h",
            Kind::Histogram,
            &[Value::Histogram { count: 2, sum: -3.0, buckets: &buckets, native: None }],
        );
        let negative = [(-1.0, 1), (f64::INFINITY, 2)];
        show(
            visitor,
            "hn",
            Kind::Histogram,
            &[Value::Histogram { count: 2, sum: 3.0, buckets: &negative, native: None }],
        );
        let quantiles = [(0.5, -1.0), (0.9, f64::NAN), (1.0, 2.0)];
        show(visitor, "q", Kind::Summary, &[Value::Summary { count: 1, sum: 2.0, quantiles: &quantiles }]);
        let sums = [-1.0, f64::NAN].map(|sum| Value::Summary { count: 1, sum, quantiles: &[] });
        show(visitor, "s", Kind::Summary, &sums);
        show(visitor, "u", Kind::Untyped, &[Value::Untyped(f64::NAN)]);
        show(visitor, "runs_created", Kind::Gauge, &[Value::Gauge(5.0)]);
        show(visitor, "s_created", Kind::Gauge, &[Value::Gauge(6.0)]);
        Ok(())
    });
    assert!(registry.to_text().contains("s_created{n=\"0\"} 6\n"));
    let text = openmetrics(&registry);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("# HELP")).collect();
    let expected = [
        "# TYPE c counter",
        "c_total{n=\"2\"} 2",
        "# TYPE h histogram",
        "h_bucket{n=\"0\",le=\"1.0\"} 1",
        "h_bucket{n=\"0\",le=\"+Inf\"} 2",
        "# TYPE hn histogram",
        "hn_bucket{n=\"0\",le=\"-1.0\"} 1",
        "hn_bucket{n=\"0\",le=\"+Inf\"} 2",
        "# TYPE jobs unknown",
        "jobs 1",
        "# TYPE jobs_total unknown",
        "jobs_total 1",
        "# TYPE q summary",
        "q{n=\"0\",quantile=\"0.9\"} NaN",
        "q{n=\"0\",quantile=\"1.0\"} 2",
        "q_sum{n=\"0\"} 2",
        "q_count{n=\"0\"} 1",
        "# TYPE runs_created gauge",
        "runs_created{n=\"0\"} 5",
        "# TYPE runs_total unknown",
        "runs_total 1",
        "# TYPE s summary",
        "s_count{n=\"0\"} 1",
        "s_count{n=\"1\"} 1",
        "# TYPE u unknown",
        "u{n=\"0\"} NaN",
        "# EOF",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn counters_whose_shorter_name_is_taken_are_of_unknown_type() {
    let registry = Registry::new();
    register(&registry, &["a", "a_sum_total", "b_total", "b_created", "c_total", "c_created_total"], |visitor| {
        show(visitor, "a", Kind::Summary, &[Value::Summary { count: 1, sum: 2.0, quantiles: &[] }]);
        show(visitor, "b_created", Kind::Gauge, &[Value::Gauge(4.0)]);
        for counter in ["a_sum_total", "b_total", "c_total", "c_created_total", "d_sum_total", "d_total"] {
            show(visitor, counter, Kind::Counter, &[Value::Counter(Number::Whole(3))]);
        }
        Ok(())
    });
    let text = openmetrics(&registry);
    let types: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let expected = [
        "a summary",
        "a_sum_total unknown",
        "b_created gauge",
        "b_total unknown",
        "c_created_total unknown",
        "c counter",
        "d_sum counter",
        "d counter",
    ];
    assert_eq!(types, expected);
    for sample in ["a_sum{n=\"0\"} 2", "a_sum_total{n=\"0\"} 3", "b_total{n=\"0\"} 3", "c_created_total{n=\"0\"} 3"] {
        assert!(text.lines().any(|line| line == sample), "{sample}\n{text}");
    }
}

#[test]
fn histograms_that_openmetrics_forbids() {
    let registry = Registry::new();
    register(&registry, &["h", "q"], |visitor| {
        let racy = [(1.0, 5), (2.0, 4), (f64::INFINITY, 7)];
        let unordered = [(2.0, 1), (1.0, 2), (f64::INFINITY, 2)];
        let no_bound = [(f64::NAN, 1)];
        let histograms = [&racy[..], &unordered, &no_bound].map(|buckets| Value::Histogram {
            count: 6,
            sum: 1.0,
            buckets,
            native: None,
        });
        show(visitor, "h", Kind::Histogram, &histograms);
        let quantiles = [(-0.5, 1.0), (0.5, 2.0), (1.5, 3.0), (f64::NAN, 4.0)];
        show(visitor, "q", Kind::Summary, &[Value::Summary { count: 1, sum: 2.0, quantiles: &quantiles }]);
        Ok(())
    });
    let text = openmetrics(&registry);
    let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let expected = [
        "h_bucket{n=\"0\",le=\"1.0\"} 5",
        "h_bucket{n=\"0\",le=\"2.0\"} 5",
        "h_bucket{n=\"0\",le=\"+Inf\"} 7",
        "h_sum{n=\"0\"} 1",
        "h_count{n=\"0\"} 7",
        "q{n=\"0\",quantile=\"0.5\"} 2",
        "q_sum{n=\"0\"} 2",
        "q_count{n=\"0\"} 1",
    ];
    assert_eq!(samples, expected);
    // The text format exports these histograms in full.
    assert!(registry.to_text().contains("h_bucket{n=\"1\",le=\"1\"} 2\n"));
}

#[test]
fn third_party_families_whose_samples_clash_are_skipped() {
    let registry = Registry::new();
    register(&registry, &["a", "a_count"], |visitor| {
        show(visitor, "a", Kind::Summary, &[Value::Summary { count: 1, sum: 2.0, quantiles: &[] }]);
        show(visitor, "a_count", Kind::Gauge, &[Value::Gauge(7.0)]);
        Ok(())
    });
    for text in [registry.to_text(), openmetrics(&registry)] {
        assert!(text.contains("a_count{n=\"0\"} 1\n") && !text.contains(" 7\n"), "{text}");
    }
    let problems: Vec<String> = registry.check().iter().map(ToString::to_string).collect();
    assert!(
        problems.iter().any(|problem| problem.contains("a_count") && problem.contains("belongs to the family a")),
        "{problems:?}"
    );
}

fn decoded(registry: &Registry) -> Vec<MetricFamily> {
    let bytes = encoded(registry, Format::Protobuf);
    let mut rest = &bytes[..];
    let mut families = Vec::new();
    while !rest.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut rest).expect("a message"));
    }
    families
}

/// Converts a message to the equivalent lines of the text format, without comments.
fn lines(family: &MetricFamily, lines: &mut Vec<String>) {
    let name = family.name.as_deref().expect("a name");
    for metric in &family.metric {
        let labels = |more: Option<(&str, f64)>| {
            let number = |value: f64| if value.is_infinite() { "+Inf".to_owned() } else { value.to_string() };
            let more = more.map(|(name, value)| (name.to_owned(), number(value)));
            let own = metric
                .label
                .iter()
                .map(|pair| (pair.name.clone().expect("a name"), pair.value.clone().expect("a value")));
            let escape = |value: String| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let pairs: Vec<_> = own.chain(more).map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
            if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
        };
        let counter = metric.counter.as_ref().map(|counter| counter.value);
        let gauge = metric.gauge.as_ref().map(|gauge| gauge.value);
        let untyped = metric.untyped.as_ref().map(|untyped| untyped.value);
        for (value, kind) in [(counter, 0), (gauge, 1), (untyped, 3)] {
            if let Some(value) = value {
                assert_eq!(family.kind, Some(kind), "{name}");
                lines.push(format!("{name}{} {}", labels(None), value.expect("a value")));
            }
        }
        if let Some(summary) = &metric.summary {
            assert_eq!(family.kind, Some(2), "{name}");
            for quantile in &summary.quantile {
                let of = labels(quantile.quantile.map(|quantile| ("quantile", quantile)));
                lines.push(format!("{name}{of} {}", quantile.value.expect("a value")));
            }
            lines.push(format!("{name}_sum{} {}", labels(None), summary.sample_sum.expect("a sum")));
            lines.push(format!("{name}_count{} {}", labels(None), summary.sample_count.expect("a count")));
        }
        if let Some(histogram) = &metric.histogram {
            assert_eq!(family.kind, Some(4), "{name}");
            for bucket in &histogram.bucket {
                let of = labels(bucket.upper_bound.map(|bound| ("le", bound)));
                lines.push(format!("{name}_bucket{of} {}", bucket.cumulative_count.expect("a count")));
            }
            lines.push(format!("{name}_sum{} {}", labels(None), histogram.sample_sum.expect("a sum")));
            lines.push(format!("{name}_count{} {}", labels(None), histogram.sample_count.expect("a count")));
        }
    }
}

fn as_text(families: &[MetricFamily]) -> Vec<String> {
    let mut all = Vec::new();
    for family in families {
        lines(family, &mut all);
    }
    all
}

fn text_without_comments(registry: &Registry) -> Vec<String> {
    registry.to_text().lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn protobuf_and_text_are_equivalent() {
    let registry = everything();
    register(&registry, &["q", "u"], |visitor| {
        let quantiles = [(0.5, -1.0), (0.99, 2.5)];
        show(visitor, "q", Kind::Summary, &[Value::Summary { count: 7, sum: -2.0, quantiles: &quantiles }]);
        show(visitor, "u", Kind::Untyped, &[Value::Untyped(0.0), Value::Untyped(f64::NAN)]);
        Ok(())
    });
    let families = decoded(&registry);
    assert_eq!(as_text(&families), text_without_comments(&registry));
    let by_name: BTreeMap<_, _> =
        families.iter().map(|family| (family.name.as_deref().expect("a name"), family)).collect();
    assert_eq!(by_name["jobs_total"].help.as_deref(), Some("A \"quoted\" \\ back\nslash."));
    assert_eq!(by_name["wait_seconds"].unit.as_deref(), Some("seconds"));
    assert_eq!((by_name["u"].unit.as_deref(), by_name["queue_length"].help.as_deref()), (None, Some("")));
    assert_eq!(decoded(&Registry::new()), []);
}

#[test]
fn protobuf_has_only_units_that_end_the_name() {
    let registry = Registry::new();
    let odd = [
        ("pool", Kind::Gauge, "seconds", None),
        ("pool_seconds", Kind::Gauge, "seconds", Some("seconds")),
        ("wait_seconds_total", Kind::Gauge, "seconds", None),
        ("work_seconds_total", Kind::Counter, "seconds", Some("seconds")),
        ("seconds", Kind::Gauge, "seconds", None),
        ("empty_", Kind::Gauge, "", None),
    ];
    register(&registry, &odd.map(|(name, ..)| name), move |visitor| {
        for (name, kind, unit, _) in odd {
            let mut family = FamilyInfo::new(name, "", kind);
            family.unit = Some(unit);
            visitor.family(&family);
            let value = if kind == Kind::Counter { Value::Counter(Number::Whole(1)) } else { Value::Gauge(1.0) };
            visitor.series(Labels::of(&[]).borrow(), &value);
        }
        Ok(())
    });
    let units: Vec<_> = decoded(&registry).into_iter().map(|family| (family.name, family.unit)).collect();
    let mut expected = odd.map(|(name, _, _, unit)| (Some(name.to_owned()), unit.map(str::to_owned)));
    expected.sort();
    assert_eq!(units, expected);
}

#[test]
fn a_large_family_is_split_into_several_messages() {
    let registry = Registry::new();
    let family = Counter::builder("large_total", "Large.").labels(["n"]).max_series(100_000);
    let family = family.register_in(&registry).expect("valid");
    for n in 0..60_000_u32 {
        family.labels([&format!("{n:040}")]).inc_by(n);
    }
    Gauge::builder("small", "Small.").register_in(&registry).expect("valid");
    let families = decoded(&registry);
    let large = families.iter().filter(|family| family.name.as_deref() == Some("large_total"));
    assert!((2..20).contains(&large.count()), "{} messages", families.len());
    assert!(families.iter().all(|family| family.encoded_len() < 2 << 20));
    assert_eq!(as_text(&families), text_without_comments(&registry));
}

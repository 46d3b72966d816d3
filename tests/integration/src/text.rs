//! The exact output of the text format.

use metrics_core::{Counter, Format, Gauge, Histogram, OTHER, Registry, Summary};

#[test]
fn families_are_sorted_by_name_and_series_by_creation() {
    let registry = Registry::new();
    let second = Counter::builder("b_total", "Second.").labels(["n"]).register_in(&registry).expect("valid");
    let first = Summary::builder("a_seconds", "First.").register_in(&registry).expect("valid");
    for n in ["2", "10", "1"] {
        second.labels([n]).inc();
    }
    first.observe(0.25);
    let head = "# HELP a_seconds First.\n# TYPE a_seconds summary\na_seconds_sum 0.25\na_seconds_count 1\n\
        # HELP b_total Second.\n# TYPE b_total counter\n";
    let created = "b_total{n=\"2\"} 1\nb_total{n=\"10\"} 1\nb_total{n=\"1\"} 1\n";
    assert_eq!(registry.to_text(), format!("{head}{created}"));
    let sorted = "b_total{n=\"1\"} 1\nb_total{n=\"10\"} 1\nb_total{n=\"2\"} 1\n";
    assert_eq!(registry.scrape().sorted().to_text(), format!("{head}{sorted}"));
    let mut out = b"before\n".to_vec();
    registry.encode(Format::Text, &mut out);
    assert_eq!(out, format!("before\n{head}{created}").into_bytes());
}

#[test]
fn counters_are_written_alike_by_every_kind_of_scrape() {
    for constant in ["", "zone=\"eu\""] {
        let registry = match constant {
            "" => Registry::new(),
            _ => Registry::with_const_labels([("zone", "eu")]).expect("valid"),
        };
        let labeled = Counter::builder("b_total", "").labels(["n"]).register_in(&registry).expect("valid");
        let plain = Counter::builder("a_total", "").register_in(&registry).expect("valid");
        plain.inc_by(7);
        let values = [0, 9, 10, 12_345_678, 99_999_999, 100_000_000, u64::MAX];
        values.iter().for_each(|value| labeled.labels([&value.to_string()]).inc_by(*value));
        labeled.labels(["half"]).inc_by(0.5);
        labeled.labels(["removed"]).inc();
        assert!(labeled.remove(["removed"]));
        let removed = Counter::builder("c_total", "").labels(["n"]).register_in(&registry).expect("valid");
        removed.labels(["1"]).inc();
        assert!(removed.remove(["1"]));

        let mut expected = vec![match constant {
            "" => "a_total 7".to_owned(),
            _ => format!("a_total{{{constant}}} 7"),
        }];
        let before = if constant.is_empty() { String::new() } else { format!("{constant},") };
        let lines = values.iter().map(ToString::to_string).map(|value| (value.clone(), value));
        let lines = lines.chain([("half".to_owned(), "0.5".to_owned())]);
        expected.extend(lines.map(|(n, value)| format!("b_total{{{before}n=\"{n}\"}} {value}")));
        expected.sort();
        for format in [Format::Text, Format::OpenMetrics] {
            for is_sorted in [false, true] {
                let scrape = registry.scrape();
                let mut out = Vec::new();
                if is_sorted { scrape.sorted() } else { scrape }.encode(format, &mut out);
                let text = String::from_utf8(out).expect("UTF-8");
                let mut samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
                samples.sort_unstable();
                assert_eq!(samples, expected, "{text}");
                assert!(!text.contains("c_total") && text.matches("# TYPE b").count() == 1, "{text}");
            }
        }
    }
}

#[test]
fn help_and_values_are_escaped() {
    let registry = Registry::new();
    let gauge = Gauge::builder("escaped", "A \"quoted\" \\ back\nslash.").labels(["v"]).register_in(&registry);
    let gauge = gauge.expect("valid");
    gauge.labels(["say \"hi\"\\\n\u{1F600}"]).set(1);
    let expected = "# HELP escaped A \"quoted\" \\\\ back\\nslash.\n# TYPE escaped gauge\n\
        escaped{v=\"say \\\"hi\\\"\\\\\\n\u{1F600}\"} 1\n";
    assert_eq!(registry.to_text(), expected);
}

#[test]
fn numbers_are_written_as_prometheus_reads_them() {
    let registry = Registry::new();
    let gauge = Gauge::builder("number", "").labels(["n"]).register_in(&registry).expect("valid");
    let numbers = [
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
        (f64::NAN, "NaN"),
        (1e6, "1000000"),
        (-0.5, "-0.5"),
        (0.1, "0.1"),
        (1.5e300, "1.5e300"),
    ];
    for (number, text) in numbers {
        gauge.labels([text]).set(number);
    }
    for (_, text) in numbers {
        let line = format!("number{{n=\"{text}\"}} {text}");
        assert!(
            registry.to_text().lines().any(|written| written.replace("e+", "e") == line),
            "{line}\n{}",
            registry.to_text()
        );
    }
}

#[test]
fn an_empty_help_has_no_line() {
    let registry = Registry::new();
    Histogram::builder("h", "").buckets([0.1]).register_in(&registry).expect("valid");
    let expected = "# TYPE h histogram\nh_bucket{le=\"0.1\"} 0\nh_bucket{le=\"+Inf\"} 0\nh_sum 0\nh_count 0\n";
    assert_eq!(registry.to_text(), expected);
}

#[test]
fn constant_labels_come_first() {
    let registry = Registry::with_const_labels([("zone", "eu \"1\"")]).expect("valid");
    let counter = Counter::builder("c_total", "").const_label("app", "shop").labels(["path"]).register_in(&registry);
    counter.expect("valid").labels([OTHER]).inc();
    let line = "c_total{app=\"shop\",zone=\"eu \\\"1\\\"\",path=\"other\"} 1";
    assert_eq!(registry.to_text().lines().nth(1), Some(line));
}

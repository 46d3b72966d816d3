//! Tests that the same operations produce the same samples in the Python client and in this library.

use metrics_core::{Counter, Family, Format, Gauge, Histogram, Registry, Summary};
use serde_json::{Value, json};

use crate::readers;

const SCRIPTS: usize = 300;
const STEPS: usize = 60;

/// The Python client's modules for writing and parsing a format.
struct Python {
    writer: &'static str,
    parser: &'static str,
}

const TEXT: Python = Python { writer: "prometheus_client", parser: "prometheus_client.parser" };
/// The modules for OpenMetrics, whose parser is strict and rejects all invalid input.
const OPENMETRICS: Python =
    Python { writer: "prometheus_client.openmetrics.exposition", parser: "prometheus_client.openmetrics.parser" };

/// Runs scripts of operations and prints the exposition of each, followed by a line of dashes.
const PYTHON: &str = r"
import json, sys
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary
from WRITER import generate_latest
import prometheus_client
prometheus_client.disable_created_metrics()
for line in sys.stdin:
    registry = CollectorRegistry()
    make = lambda kind, **more: kind(kind.__name__.lower() + '_x', 'A help \\ text\nof two lines.', ['a', 'b'], registry=registry, **more)
    metrics = {'counter': make(Counter), 'gauge': make(Gauge), 'summary': make(Summary),
               'histogram': make(Histogram, buckets=[0, 1e-3, 2.5, 1e9])}
    for kind, operation, labels, value in json.loads(line):
        series = metrics[kind].labels(*labels)
        if operation == 'remove':
            metrics[kind].remove(*labels)
        elif operation != 'create':
            getattr(series, operation)(float(value))
    sys.stdout.write(generate_latest(registry).decode() + '-----\n')
";

/// Reads expositions that are each followed by a line of dashes, and prints their samples as JSON.
const READER: &str = r"
import json, sys
from PARSER import text_string_to_metric_families
for text in sys.stdin.read().split('-----\n')[:-1]:
    samples = []
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = {k: repr(float(v)) if k == 'le' else v for k, v in sample.labels.items()}
            samples.append([sample.name, sorted(labels.items()), repr(float(sample.value)), family.type, family.documentation])
    print(json.dumps(sorted(samples)))
";

/// A random number generator with a fixed seed (`SplitMix64`).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.next() % choices.len() as u64).expect("small")]
    }
}

/// One operation: type, method, label values, amount.
type Step = (&'static str, &'static str, [&'static str; 2], &'static str);

const LABELS: [&str; 10] =
    ["", "x", "/foo?a=b&c", "say \"hi\"", "back\\slash", "two\nlines", "\u{fc}\u{1F600}", "a\\nb", "{a=\"b\"}", "\\"];
const AMOUNTS: [&str; 14] = [
    "0",
    "1",
    "2.5",
    "0.1",
    "1e-300",
    "1e15",
    "1e16",
    "123456789.125",
    "0.001",
    "3",
    "9007199254740991",
    "1e300",
    "0.30000000000000004",
    "1000000",
];
const SIGNED: [&str; 6] = ["-1.5", "-0.25", "-3", "-1e9", "-1e-7", "0"];
const SPECIAL: [&str; 3] = ["inf", "-inf", "nan"];

/// Generates operations, with negative observations if `signed`.
fn script(random: &mut Random, signed: bool) -> Vec<Step> {
    let step = |random: &mut Random| {
        let kind = random.of(&["counter", "gauge", "summary", "histogram"]);
        let operation = match kind {
            _ if random.next().is_multiple_of(12) => random.of(&["create", "remove"]),
            "counter" => "inc",
            "gauge" => random.of(&["set", "inc", "dec"]),
            _ => "observe",
        };
        // Exclude non-finite observations and amounts. We ignore them on purpose, because they would permanently
        // corrupt a sum.
        let amount = match (kind, random.next() % 8) {
            ("gauge", 0) => random.of(&SPECIAL),
            ("counter", _) | (_, 3..) => random.of(&AMOUNTS),
            ("gauge", _) => random.of(&SIGNED),
            _ => random.of(if signed { &SIGNED } else { &AMOUNTS[..6] }),
        };
        (kind, operation, [random.of(&LABELS[..5]), random.of(&LABELS)], amount)
    };
    (0..STEPS).map(|_| step(random)).collect()
}

fn run(script: &[Step], format: Format) -> String {
    const HELP: &str = "A help \\ text\nof two lines.";
    let registry = Registry::new();
    let labels = ["a", "b"];
    let counter: Family<Counter, 2> =
        Counter::builder("counter_x_total", HELP).labels(labels).register_in(&registry).expect("valid");
    let gauge: Family<Gauge, 2> = Gauge::builder("gauge_x", HELP).labels(labels).register_in(&registry).expect("valid");
    let summary: Family<Summary, 2> =
        Summary::builder("summary_x", HELP).labels(labels).register_in(&registry).expect("valid");
    let histogram: Family<Histogram, 2> = Histogram::builder("histogram_x", HELP)
        .buckets([0.0, 1e-3, 2.5, 1e9])
        .labels(labels)
        .register_in(&registry)
        .expect("valid");
    for (kind, operation, labels, amount) in script {
        let amount: f64 = amount.parse().expect("a number");
        match (*kind, *operation) {
            ("counter", "inc") => counter.labels(*labels).inc_by(amount),
            ("counter", "remove") => drop(counter.remove(*labels)),
            ("counter", _) => drop(counter.labels(*labels)),
            ("gauge", "set") => gauge.labels(*labels).set(amount),
            ("gauge", "inc") => gauge.labels(*labels).add(amount),
            ("gauge", "dec") => gauge.labels(*labels).sub(amount),
            ("gauge", "remove") => drop(gauge.remove(*labels)),
            ("gauge", _) => drop(gauge.labels(*labels)),
            ("summary", "observe") => summary.labels(*labels).observe(amount),
            ("summary", "remove") => drop(summary.remove(*labels)),
            ("summary", _) => drop(summary.labels(*labels)),
            (_, "observe") => histogram.labels(*labels).observe(amount),
            (_, "remove") => drop(histogram.remove(*labels)),
            _ => drop(histogram.labels(*labels)),
        }
    }
    let mut out = Vec::new();
    registry.encode(format, &mut out);
    String::from_utf8(out).expect("UTF-8")
}

fn samples(expositions: &str, python: &Python) -> Vec<Value> {
    let read = readers::python(&READER.replace("PARSER", python.parser), expositions);
    read.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Returns true if two samples are equal.
///
/// Float sums may differ in their last digits, because we add whole amounts separately from fractions.
fn same(ours: &Value, theirs: &Value) -> bool {
    let number = |sample: &Value| sample[2].as_str().and_then(|text| text.parse::<f64>().ok());
    let (Some(one), Some(other)) = (number(ours), number(theirs)) else { return false };
    let close = one == other || one.is_nan() && other.is_nan() || ((one - other) / other).abs() < 1e-14;
    close && [0, 1, 3, 4].iter().all(|part| ours[*part] == theirs[*part])
}

#[test]
fn the_python_client_exports_the_same() {
    compare(Format::Text, &TEXT, true);
}

#[test]
fn the_python_client_exports_the_same_in_openmetrics() {
    compare(Format::OpenMetrics, &OPENMETRICS, false);
}

fn compare(format: Format, python: &Python, signed: bool) {
    let mut random = Random(20_240_607);
    let scripts: Vec<Vec<Step>> = (0..SCRIPTS).map(|_| script(&mut random, signed)).collect();
    let lines: Vec<String> = scripts.iter().map(|script| json!(script).to_string()).collect();
    let written = readers::python(&PYTHON.replace("WRITER", python.writer), &(lines.join("\n") + "\n"));
    let theirs = samples(&written, python);
    let ours: String = scripts.iter().map(|script| run(script, format) + "-----\n").collect();
    let ours = samples(&ours, python);
    assert_eq!((ours.len(), theirs.len()), (SCRIPTS, SCRIPTS));
    let mut compared = 0;
    for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        let (ours, theirs) = (ours.as_array().expect("a list"), theirs.as_array().expect("a list"));
        assert_eq!(ours.len(), theirs.len(), "script {number}: {:#?}\n{ours:#?}\n{theirs:#?}", scripts[number]);
        for (our, their) in ours.iter().zip(theirs) {
            assert!(same(our, their), "script {number}: ours {our}, theirs {their}\n{:#?}", scripts[number]);
            compared += 1;
        }
    }
    assert!(compared > 10_000, "{compared} samples were compared");
}

//! Names, labels and bounds of metrics: a declaration is accepted if and only if it follows the documented rules, and
//! an accepted one exports the names and values that it was given.

use std::collections::HashSet;

use metrics_core::{Builder, Counter, Family, Gauge, Histogram, Kind, Metric, Registry, StateSet, Summary};

use crate::input::Source;

const STARTS: [&str; 16] = [
    "a",
    "A",
    "_",
    ":",
    "__",
    "le",
    "quantile",
    "",
    "0",
    "é",
    "jobs",
    "b_seconds",
    "c_total",
    "d_bucket",
    "e_created",
    "-",
];
const ENDS: [&str; 16] = [
    "",
    "_total",
    "_seconds",
    "_seconds_total",
    "_bucket",
    "_count",
    "_sum",
    "_created",
    "_info",
    ":x",
    "9",
    " ",
    "\n",
    "\"",
    "_",
    "é",
];
const UNITS: [&str; 6] = ["seconds", "", "total", "bytes", "s", "_seconds"];

/// A declaration and the labels of one series.
struct Declared {
    kind: Kind,
    name: String,
    help: String,
    unit: Option<String>,
    const_labels: Vec<(String, String)>,
    labels: Vec<(String, String)>,
    bounds: Vec<f64>,
    quantiles: Option<Vec<f64>>,
    value: f64,
}

/// Declares two metrics in one registry.
pub fn run(data: &[u8]) {
    let mut source = Source::new(data);
    let registry = Registry::new();
    let first = Declared::of(&mut source);
    let is_registered = check(&first, &registry, true);
    let second = Declared::of(&mut source);
    let taken = if is_registered { first.sample_names() } else { HashSet::new() };
    // The same name with the same declaration is not a conflict, and one with another declaration always is.
    if !is_registered || second.name != first.name {
        check(&second, &registry, taken.is_disjoint(&second.sample_names()));
    }
}

fn name(source: &mut Source<'_>) -> String {
    match source.byte() % 4 {
        0 => source.text(12),
        _ => format!("{}{}", source.pick(&STARTS), source.pick(&ENDS)),
    }
}

fn value(source: &mut Source<'_>) -> String {
    let text = source.text(24);
    match source.byte() {
        byte @ 240.. => text.repeat(usize::from(byte - 240) * 8),
        _ => text,
    }
}

/// Removes `_total` from the name of a counter.
fn without_total(name: &str, kind: Kind) -> &str {
    if kind == Kind::Counter { name.strip_suffix("_total").unwrap_or(name) } else { name }
}

impl Declared {
    fn of(source: &mut Source<'_>) -> Self {
        let kinds = [Kind::Counter, Kind::Gauge, Kind::Summary, Kind::Histogram, Kind::StateSet];
        let pairs = |source: &mut Source<'_>, most: usize| -> Vec<_> {
            (0..source.below(most + 1)).map(|_| (name(source), value(source))).collect()
        };
        // Only a few distinct numbers, because the library keeps each set of bounds for as long as the process runs.
        let number = |source: &mut Source<'_>| source.pick(&[0.5, 1.0, 0.0, -1.0, f64::INFINITY, f64::NAN, -0.0, 0.99]);
        Self {
            kind: source.pick(&kinds),
            name: name(source),
            help: source.text(16),
            unit: source.one_in(4).then(|| source.pick(&UNITS).to_owned()),
            const_labels: pairs(source, 2),
            labels: pairs(source, 3),
            bounds: (0..source.below(5)).map(|_| number(source)).collect(),
            quantiles: source.one_in(3).then(|| (0..source.below(4)).map(|_| number(source)).collect()),
            value: source.f64(),
        }
    }

    /// Returns true if the declaration follows the documented rules.
    fn is_valid(&self) -> bool {
        let is = |text: &str, pattern: fn(u8) -> bool| {
            !text.is_empty() && !text.as_bytes()[0].is_ascii_digit() && text.bytes().all(pattern)
        };
        let is_label = |text: &str| {
            let reserved = text.starts_with("__")
                || (self.kind == Kind::Histogram && text == "le")
                || (self.kind == Kind::Summary && text == "quantile");
            is(text, |byte| byte.is_ascii_alphanumeric() || byte == b'_') && !reserved
        };
        let mut names: Vec<&str> =
            self.labels.iter().chain(&self.const_labels).map(|(name, _)| name.as_str()).collect();
        if self.kind == Kind::StateSet {
            names.push(&self.name);
        }
        let distinct: HashSet<&str> = names.iter().copied().collect();
        let unit = self.unit.as_ref().is_none_or(|unit| {
            let base = without_total(&self.name, self.kind);
            !unit.is_empty() && base.strip_suffix(unit.as_str()).is_some_and(|rest| rest.ends_with('_'))
        });
        let bounds = self.kind != Kind::Histogram
            || !self.bounds.is_empty()
                && self.bounds.iter().all(|bound| bound.is_finite())
                && self.bounds.windows(2).all(|pair| pair[0] < pair[1]);
        let quantiles = self.kind != Kind::Summary
            || self.quantiles.as_ref().is_none_or(|quantiles| {
                let distinct = quantiles.iter().enumerate().all(|(at, one)| !quantiles[..at].contains(one));
                !quantiles.is_empty() && quantiles.iter().all(|one| (0.0..=1.0).contains(one)) && distinct
            });
        is(&self.name, |byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')
            && names.iter().all(|name| is_label(name))
            && distinct.len() == names.len()
            && unit
            && bounds
            && quantiles
    }

    /// Returns all names that samples of this metric can have in any format.
    fn sample_names(&self) -> HashSet<String> {
        let name = self.name.as_str();
        let base = without_total(name, self.kind);
        let suffixes: &[&str] = match self.kind {
            Kind::Counter => &["", "_total", "_created"],
            Kind::Summary => &["", "_count", "_sum", "_created"],
            Kind::Histogram => &["", "_bucket", "_count", "_sum", "_created"],
            _ => &[""],
        };
        suffixes.iter().map(|suffix| format!("{base}{suffix}")).collect()
    }

    /// Returns the sample line of the text format.
    fn line(&self, suffix: &str, value: &str) -> String {
        let mut constant = self.const_labels.clone();
        constant.sort();
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let is_too_long = self.labels.iter().any(|(_, value)| value.len() > 1_024);
        let own = self
            .labels
            .iter()
            .map(|(name, value)| (name.clone(), if is_too_long { "__overflow__".to_owned() } else { value.clone() }));
        let pairs: Vec<String> =
            constant.into_iter().chain(own).map(|(name, value)| format!("{name}=\"{}\"", escaped(&value))).collect();
        match pairs.as_slice() {
            [] => format!("{}{suffix} {value}", self.name),
            pairs => format!("{}{suffix}{{{}}} {value}", self.name, pairs.join(",")),
        }
    }
}

fn check(declared: &Declared, registry: &Registry, is_free: bool) -> bool {
    let Declared { name, help, value, .. } = declared;
    let is_total = value.is_finite() && *value >= 0.0;
    let observed = if value.is_finite() { "1" } else { "0" };
    let number = |text: f64| {
        let mut line = text.to_string();
        if text.is_infinite() {
            line = if text > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
        }
        line
    };
    // The target `exposition` checks the text of other numbers.
    let is_simple =
        !value.is_finite() || value.fract() == 0.0 && value.abs() < 1e6 && !(*value == 0.0 && value.is_sign_negative());
    let (registered, line) = match declared.kind {
        Kind::Counter => {
            let line = is_simple.then(|| declared.line("", &if is_total { number(*value) } else { "0".to_owned() }));
            (register(Counter::builder(name, help), declared, registry, |counter| counter.inc_by(*value)), line)
        }
        Kind::Gauge => {
            let line = is_simple.then(|| declared.line("", &number(*value)));
            (register(Gauge::builder(name, help), declared, registry, |gauge| gauge.set(*value)), line)
        }
        Kind::Summary => {
            let mut builder = Summary::builder(name, help);
            if let Some(quantiles) = &declared.quantiles {
                builder = builder.quantiles(quantiles.iter().copied());
            }
            let line = declared.line("_count", observed);
            (register(builder, declared, registry, |summary| summary.observe(*value)), Some(line))
        }
        Kind::Histogram => {
            let builder = Histogram::builder(name, help).buckets(declared.bounds.iter().copied());
            let line = declared.line("_count", observed);
            (register(builder, declared, registry, |histogram| histogram.observe(*value)), Some(line))
        }
        _ => (register(StateSet::<bool>::builder(name, help), declared, registry, |states| states.set(&true)), None),
    };
    let expected = is_free && declared.is_valid();
    assert_eq!(registered.is_ok(), expected, "{name:?}: {registered:?}");
    if let (Ok(()), Some(line)) = (&registered, &line) {
        let text = registry.to_text();
        // A label value may contain characters that other line splitters regard as the end of a line.
        assert!(text.split('\n').any(|found| found == line), "{line:?} is not in\n{text}");
    }
    if let Err(error) = &registered {
        assert!(!error.to_string().is_empty());
    }
    expected
}

/// Registers the metric with the declared labels, and records a value in one series.
fn register<M: Metric>(
    mut builder: Builder<M>,
    declared: &Declared,
    registry: &Registry,
    record: impl Fn(&M),
) -> Result<(), metrics_core::Error> {
    if let Some(unit) = &declared.unit {
        builder = builder.unit(unit.as_str());
    }
    for (name, value) in &declared.const_labels {
        builder = builder.const_label(name, value);
    }
    let names: Vec<&str> = declared.labels.iter().map(|(name, _)| name.as_str()).collect();
    let values: Vec<&str> = declared.labels.iter().map(|(_, value)| value.as_str()).collect();
    match (names.as_slice(), values.as_slice()) {
        ([], _) => record(&builder.register_in(registry)?),
        ([a], [x]) => record_in(&builder.labels([a]).register_in(registry)?, [x], record),
        ([a, b], [x, y]) => record_in(&builder.labels([a, b]).register_in(registry)?, [x, y], record),
        ([a, b, c, ..], [x, y, z, ..]) => {
            record_in(&builder.labels([a, b, c]).register_in(registry)?, [x, y, z], record);
        }
        _ => unreachable!("there are as many names as values"),
    }
    Ok(())
}

fn record_in<M: Metric, const N: usize>(family: &Family<M, N>, values: [&str; N], record: impl Fn(&M)) {
    record(&family.labels(values));
    let is_too_long = values.iter().any(|value| value.len() > 1_024);
    let expected = values.map(|value| if is_too_long { "__overflow__".to_owned() } else { value.to_owned() });
    let found: Vec<[String; N]> = family.iter().map(|(values, _)| values).collect();
    assert_eq!(found, [expected]);
    assert_eq!(family.get(values).is_some(), !is_too_long);
}

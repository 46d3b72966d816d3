//! A registry of arbitrary families, and the samples that a reader must find in its output.

use std::collections::BTreeSet;

use metrics_core::{Kind, Number};

use crate::input::Source;

const PREFIXES: [&str; 8] = ["m", "A_b", "_x", "a:b", "jobs", "shop_request", "total", "le"];
const LABEL_NAMES: [&str; 10] = ["a", "b", "A1", "_x", "method", "path", "name", "exported_name", "a1", "job"];
const TEXTS: [&str; 24] = [
    "",
    "x",
    "/foo?a=b&c",
    "say \"hi\"",
    "back\\slash",
    "two\nlines",
    "\u{fc}\u{1F600}",
    "a\\nb",
    "{a=\"b\"}",
    "\\",
    "\r",
    "\r\n",
    "a\u{85}b\u{2028}",
    "\u{0}",
    "\t",
    "# EOF",
    "x|y,z#",
    ";=!^~",
    "\",b=\"x",
    "a.b",
    " ",
    "\u{1c}",
    "%s",
    "\u{feff}",
];

/// A family of the registry.
#[derive(Clone)]
pub(crate) struct ModelFamily {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) kind: Kind,
    pub(crate) unit: Option<&'static str>,
    pub(crate) series: Vec<Series>,
    /// True if the values are recorded by metrics, instead of being reported by a collector.
    pub(crate) is_recorded: bool,
}

#[derive(Clone)]
pub(crate) struct Series {
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: Sample,
    /// The exemplars: the position of the bucket, the value of the label `trace_id`, and the value.
    pub(crate) exemplars: Vec<(usize, String, f64)>,
    /// The amounts that are recorded.
    pub(crate) amounts: Vec<(f64, Option<String>)>,
}

#[derive(Clone)]
pub(crate) enum Sample {
    Counter(Number),
    Gauge(f64),
    Untyped(f64),
    Summary { count: u64, sum: f64, quantiles: Vec<(f64, f64)> },
    Histogram { count: u64, sum: f64, buckets: Vec<(f64, u64)>, native: Option<Native> },
}

/// The buckets of a native histogram, as in [`NativeHistogram`].
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Native {
    pub(crate) schema: i32,
    pub(crate) zero_threshold: f64,
    pub(crate) zero_count: u64,
    pub(crate) positive: Vec<(i32, u64)>,
    pub(crate) negative: Vec<(i32, u64)>,
}

/// The families, sorted by name as in a scrape.
pub(crate) struct Model {
    pub(crate) families: Vec<ModelFamily>,
}

/// One sample of the text format: a value under a name and labels.
#[derive(Clone, Debug)]
pub(crate) struct Flat<'m> {
    pub(crate) family: &'m str,
    pub(crate) suffix: &'static str,
    pub(crate) labels: &'m [(String, String)],
    pub(crate) bound: Option<(&'static str, f64)>,
    pub(crate) value: Number,
    /// True for totals, which only grow.
    pub(crate) is_total: bool,
}

impl Model {
    pub(crate) fn of(source: &mut Source<'_>) -> Self {
        let mut families: Vec<ModelFamily> = (0..=source.below(8)).map(|at| ModelFamily::of(source, at)).collect();
        families.retain(|family| !family.series.is_empty());
        families.sort_by(|one, other| one.name.cmp(&other.name));
        Self { families }
    }

    /// Returns all samples, in the order of a scrape.
    pub(crate) fn samples(&self) -> Vec<Flat<'_>> {
        let mut samples = Vec::new();
        for family in &self.families {
            for series in family.in_order() {
                let mut add = |suffix, bound, value, is_total| {
                    samples.push(Flat { family: &family.name, suffix, labels: &series.labels, bound, value, is_total });
                };
                match &series.value {
                    Sample::Counter(total) => add("", None, *total, true),
                    Sample::Gauge(value) | Sample::Untyped(value) => add("", None, Number::Float(*value), false),
                    Sample::Summary { count, sum, quantiles } => {
                        for (quantile, value) in quantiles {
                            add("", Some(("quantile", *quantile)), Number::Float(*value), false);
                        }
                        add("_count", None, Number::Whole(*count), true);
                        add("_sum", None, Number::Float(*sum), true);
                    }
                    Sample::Histogram { count, sum, buckets, .. } => {
                        for (bound, count) in buckets {
                            add("_bucket", Some(("le", *bound)), Number::Whole(*count), true);
                        }
                        add("_count", None, Number::Whole(*count), true);
                        add("_sum", None, Number::Float(*sum), true);
                    }
                }
            }
        }
        samples
    }
}

impl ModelFamily {
    /// Returns the series in the order of a scrape, which keeps the states of a state set together.
    fn in_order(&self) -> Vec<&Series> {
        let others = |series: &Series| -> Vec<(String, String)> {
            series
                .labels
                .iter()
                .filter(|(name, _)| *name != self.name || self.kind != Kind::StateSet)
                .cloned()
                .collect()
        };
        let mut series: Vec<&Series> = self.series.iter().collect();
        let first = |series: &&Series| self.series.iter().position(|other| others(other) == others(series));
        series.sort_by_key(first);
        series
    }
}

impl Flat<'_> {
    /// Returns the sample as one line that readers can print as well.
    pub(crate) fn line(&self) -> String {
        sample_line(&format!("{}{}", self.family, self.suffix), self.labels, self.bound, self.value.as_f64())
    }
}

/// Returns a sample as a line: the name, the labels sorted by name, and the bits of the value.
pub(crate) fn sample_line(name: &str, labels: &[(String, String)], bound: Option<(&str, f64)>, value: f64) -> String {
    let mut pairs: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}={}", hex(value.as_bytes()))).collect();
    pairs.extend(bound.map(|(name, bound)| format!("{name}=#{}", bits(bound))));
    pairs.sort();
    format!("{name} {{{}}} {}", pairs.join(","), bits(value))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the bits of a number. All NaN are equal, and so are 0 and -0, because Python reads `-0` as an integer.
pub(crate) fn bits(value: f64) -> String {
    if value.is_nan() { "nan".to_owned() } else { format!("{:016x}", (value + 0.0).to_bits()) }
}

impl ModelFamily {
    fn of(source: &mut Source<'_>, at: usize) -> Self {
        let kinds =
            [Kind::Counter, Kind::Gauge, Kind::Summary, Kind::Histogram, Kind::Untyped, Kind::Info, Kind::StateSet];
        let kind = source.pick(&kinds);
        let is_recorded =
            matches!(kind, Kind::Counter | Kind::Gauge | Kind::Summary | Kind::Histogram) && source.one_in(2);
        let unit = source.one_in(3).then_some("seconds").filter(|_| !matches!(kind, Kind::Info | Kind::StateSet));
        let suffix = match kind {
            Kind::Counter if is_recorded || source.one_in(2) => "_total",
            Kind::Info => "_info",
            _ => "",
        };
        let prefix = source.pick(&PREFIXES);
        // A state set's name is also the name of a label.
        let prefix = if kind == Kind::StateSet { "state" } else { prefix };
        let unit_suffix = if unit.is_some() { "_seconds" } else { "" };
        let name = format!("{prefix}{at}{unit_suffix}{suffix}");
        let mut names: Vec<&str> = (0..source.below(4)).map(|_| source.pick(&LABEL_NAMES)).collect();
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(*name));
        let bounds = if is_recorded { vec![-1.0, 0.0, 0.5, 4.0] } else { sorted(source, f64::MIN, f64::MAX) };
        let mut series: Vec<Series> = Vec::new();
        for _ in 0..=source.below(4) {
            let mut labels: Vec<(String, String)> =
                names.iter().map(|name| ((*name).to_owned(), text(source))).collect();
            if kind == Kind::StateSet {
                labels.push((name.clone(), text(source)));
            }
            if is_recorded {
                series.push(Series::recorded(source, kind, labels, &bounds));
            } else {
                let value = Sample::reported(source, kind, &bounds);
                series.push(Series { labels, value, exemplars: Vec::new(), amounts: Vec::new() });
            }
        }
        let mut seen = BTreeSet::new();
        series.retain(|series| seen.insert(series.labels.clone()));
        Self { name, help: text(source), kind, unit, series, is_recorded }
    }
}

impl Series {
    /// Returns a series that records a few amounts, whose sums are exact.
    fn recorded(source: &mut Source<'_>, kind: Kind, labels: Vec<(String, String)>, bounds: &[f64]) -> Self {
        let amounts: Vec<(f64, Option<String>)> = (0..source.below(6))
            .map(|_| {
                let amount = f64::from(source.byte().cast_signed()) / 8.0;
                let amount = if kind == Kind::Counter { amount.abs() } else { amount };
                // The Python client cannot read an exemplar with a quote.
                (amount, source.one_in(3).then(|| text(source).replace('"', "'")))
            })
            .collect();
        let sum: f64 = amounts.iter().map(|(amount, _)| amount).sum();
        let count = amounts.len() as u64;
        let value = match kind {
            Kind::Counter => Sample::Counter(Number::Float(sum)),
            Kind::Gauge => Sample::Gauge(sum),
            Kind::Summary => Sample::Summary { count, sum, quantiles: Vec::new() },
            _ => {
                let total = |bound: f64| amounts.iter().filter(|(amount, _)| *amount <= bound).count() as u64;
                let bounds = bounds.iter().copied().chain([f64::INFINITY]);
                Sample::Histogram {
                    count,
                    sum,
                    buckets: bounds.map(|bound| (bound, total(bound))).collect(),
                    native: None,
                }
            }
        };
        // The first exemplar of a counter or a bucket is kept for a second.
        let mut exemplars: Vec<(usize, String, f64)> = Vec::new();
        for (amount, trace) in &amounts {
            let Some(trace) = trace.as_ref().filter(|_| matches!(kind, Kind::Counter | Kind::Histogram)) else {
                continue;
            };
            let bucket = if kind == Kind::Counter { 0 } else { bounds.iter().filter(|bound| amount > *bound).count() };
            if !exemplars.iter().any(|(known, ..)| *known == bucket) {
                exemplars.push((bucket, trace.clone(), *amount));
            }
        }
        // Prometheus rejects a scrape that contains a null character, so such an exemplar is not kept.
        exemplars.retain(|(_, trace, _)| !trace.contains('\0'));
        Self { labels, value, exemplars, amounts }
    }
}

impl Sample {
    fn reported(source: &mut Source<'_>, kind: Kind, bounds: &[f64]) -> Self {
        match kind {
            Kind::Counter if source.one_in(2) => Self::Counter(Number::Whole(source.u64())),
            Kind::Counter => Self::Counter(Number::Float(source.f64())),
            Kind::Gauge => Self::Gauge(source.f64()),
            Kind::Untyped => Self::Untyped(source.f64()),
            Kind::Info => Self::Gauge(1.0),
            Kind::StateSet => Self::Gauge(f64::from(source.below(2) as u8)),
            Kind::Summary => {
                let quantiles = sorted(source, 0.0, 1.0).into_iter().map(|quantile| (quantile, source.f64())).collect();
                Self::Summary { count: source.u64(), sum: source.f64(), quantiles }
            }
            _ => Self::histogram(source, bounds),
        }
    }

    fn histogram(source: &mut Source<'_>, bounds: &[f64]) -> Self {
        let native = source.one_in(2).then(|| Native::of(source));
        let sum = source.f64();
        if let Some(native) = native {
            let lists = [&native.positive, &native.negative];
            let count = lists.into_iter().flatten().fold(native.zero_count, |count, (_, more)| count + more);
            let buckets = bounds.iter().map(|bound| (*bound, count / 2)).chain([(f64::INFINITY, count)]).collect();
            return Self::Histogram { count, sum, buckets, native: Some(native) };
        }
        let mut count = 0_u64;
        let mut buckets: Vec<(f64, u64)> = Vec::new();
        for bound in bounds.iter().copied().chain([f64::INFINITY]) {
            count = count.saturating_add(source.u64());
            buckets.push((bound, count));
        }
        Self::Histogram { count, sum, buckets, native: None }
    }
}

impl Native {
    fn of(source: &mut Source<'_>) -> Self {
        let schema = i32::from(source.below(13) as u8) - 4;
        let limit = 1_100 << schema.max(0);
        let list = |source: &mut Source<'_>| {
            let mut index = i32::from(source.byte().cast_signed());
            let mut list = Vec::new();
            for _ in 0..source.below(6) {
                list.push((index, source.u64() % (1 << 55)));
                let step = i32::from(source.byte());
                index += if step > 250 { step * 100 } else { 1 + step % 3 };
            }
            list.retain(|(index, _)| index.abs() <= limit);
            list
        };
        let (positive, negative) = (list(source), list(source));
        let zero_threshold = source.pick(&[0.0, 1e-128, 2.0_f64.powi(-128), 0.5]);
        Self { schema, zero_threshold, zero_count: source.u64() % (1 << 55), positive, negative }
    }
}

/// Returns at most five distinct numbers in a range, sorted.
fn sorted(source: &mut Source<'_>, from: f64, to: f64) -> Vec<f64> {
    let mut numbers: Vec<f64> = (0..source.below(6)).map(|_| source.f64()).collect();
    numbers.retain(|number| (from..=to).contains(number));
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    numbers
}

fn text(source: &mut Source<'_>) -> String {
    if source.one_in(3) { source.text(16) } else { source.pick(&TEXTS).to_owned() }
}

//! Expositions: the Python client and `prost` find exactly the samples of a model in the three formats.

use std::sync::{LazyLock, Mutex};

use messages::exposition::{Histogram, LabelPair, MetricFamily};
use metrics_core::{Format, Kind};
use prost::Message;

use crate::input::Source;
use crate::model::{Model, Native, Sample, Series, bits, hex, sample_line};
use crate::reader::Reader;

static READER: LazyLock<Mutex<Reader>> = LazyLock::new(|| Mutex::new(Reader::expositions()));

/// Encodes one model in all formats.
pub fn run(data: &[u8]) {
    let mut source = Source::new(data);
    let model = Model::of(&mut source);
    let registry = model.registry();
    let encoded = |format| {
        let mut out = Vec::new();
        registry.encode(format, &mut out);
        out
    };
    let text = encoded(Format::Text);
    let found = READER.lock().expect("no panic").read("text", &text);
    compare(&text, found, in_text(&model));
    let openmetrics = encoded(Format::OpenMetrics);
    let found = READER.lock().expect("no panic").read("openmetrics", &openmetrics);
    compare(&openmetrics, found, in_openmetrics(&model));
    let protobuf = encoded(Format::Protobuf);
    compare(&text, read_protobuf(&protobuf), in_protobuf(&model));
}

fn compare(exposition: &[u8], mut found: Vec<String>, mut expected: Vec<String>) {
    found.sort();
    expected.sort();
    let missing: Vec<_> = expected.iter().filter(|line| !found.contains(line)).collect();
    let surplus: Vec<_> = found.iter().filter(|line| !expected.contains(line)).collect();
    assert!(found == expected, "missing {missing:#?}\nsurplus {surplus:#?}\n{}", String::from_utf8_lossy(exposition));
}

/// Returns the line for a help text that is not empty.
fn help_line(family: &str, help: &str) -> Option<String> {
    (!help.is_empty()).then(|| format!("help {family} {}", hex(help.as_bytes())))
}

fn in_text(model: &Model) -> Vec<String> {
    let is_counter =
        |name: &str| model.families.iter().any(|family| family.name == name && family.kind == Kind::Counter);
    let samples = model.samples().into_iter().map(|mut sample| {
        // The Python client adds the suffix that the name of a counter lacks.
        if is_counter(sample.family) && !sample.family.ends_with("_total") {
            sample.suffix = "_total";
        }
        sample.line()
    });
    let helps = model.families.iter().filter_map(|family| {
        // The Python client names a counter without its suffix.
        let name = if family.kind == Kind::Counter { family.name.trim_end_matches("_total") } else { &family.name };
        // Before it replaces escaped line breaks, it removes ASCII whitespace at the beginning, and any whitespace at
        // the end.
        let is_space = |c: char| c != '\n' && (c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c));
        help_line(name, family.help.trim_end_matches(is_space).trim_start_matches([' ', '\t', '\r', '\u{b}', '\u{c}']))
    });
    samples.chain(helps).collect()
}

/// Returns the samples that OpenMetrics can represent, as [`Format::OpenMetrics`] documents.
fn in_openmetrics(model: &Model) -> Vec<String> {
    let mut lines = Vec::new();
    for family in &model.families {
        let base = match family.kind {
            Kind::Counter => family.name.strip_suffix("_total"),
            Kind::Info => family.name.strip_suffix("_info"),
            _ => None,
        };
        // The Python client removes spaces at the beginning.
        lines.extend(help_line(base.unwrap_or(&family.name), family.help.trim_start_matches(' ')));
        for Series { labels, value, exemplars, .. } in &family.series {
            let mut add = |suffix: &str, bound, value| {
                lines.push(sample_line(&format!("{}{suffix}", family.name), labels, bound, value));
            };
            let mut with_exemplar = None;
            match value {
                Sample::Counter(total) if base.is_none() || total.as_f64() >= 0.0 => {
                    add("", None, total.as_f64());
                    with_exemplar = base.is_some().then_some("");
                }
                Sample::Counter(_) => {}
                Sample::Gauge(value) | Sample::Untyped(value) => add("", None, *value),
                Sample::Summary { count, sum, quantiles } => {
                    for (quantile, value) in quantiles {
                        if *value >= 0.0 || value.is_nan() {
                            add("", Some(("quantile", *quantile)), *value);
                        }
                    }
                    if *sum >= 0.0 {
                        add("_sum", None, *sum);
                    }
                    add("_count", None, *count as f64);
                }
                Sample::Histogram { count, sum, buckets, .. } => {
                    for (bound, count) in buckets {
                        add("_bucket", Some(("le", *bound)), *count as f64);
                    }
                    // A sum may be negative if observations may be, and a count requires a sum.
                    if *sum >= 0.0 && buckets[0].0 >= 0.0 {
                        add("_sum", None, *sum);
                        add("_count", None, *count as f64);
                    }
                    with_exemplar = Some("_bucket");
                }
            }
            for (_, trace, value) in exemplars.iter().filter(|_| with_exemplar.is_some()) {
                let name = format!("exemplar {}{}", family.name, with_exemplar.unwrap_or_default());
                lines.push(sample_line(&name, &[("trace_id".to_owned(), trace.clone())], None, *value));
            }
        }
    }
    lines
}

fn in_protobuf(model: &Model) -> Vec<String> {
    let mut lines: Vec<String> = model.samples().iter().map(|sample| sample.line()).collect();
    for family in &model.families {
        lines.push(format!("help {} {}", family.name, hex(family.help.as_bytes())));
        for Series { labels, value, exemplars, .. } in &family.series {
            if let Sample::Histogram { native: Some(native), .. } = value {
                lines.push(native_line(&family.name, labels, native));
            }
            for (_, trace, value) in exemplars {
                let name = format!("exemplar {}", family.name);
                lines.push(sample_line(&name, &[("trace_id".to_owned(), trace.clone())], None, *value));
            }
        }
    }
    lines
}

/// Returns a native histogram as a line. Empty buckets are not exported.
pub(crate) fn native_line(name: &str, labels: &[(String, String)], native: &Native) -> String {
    let list = |list: &[(i32, u64)]| list.iter().filter(|(_, count)| *count > 0).copied().collect::<Vec<_>>();
    let Native { schema, zero_threshold, zero_count, positive, negative } = native;
    let name = sample_line(&format!("native {name}"), labels, None, 0.0);
    format!("{name} {schema} {} {zero_count} {:?} {:?}", bits(*zero_threshold), list(positive), list(negative))
}

/// Returns the samples in delimited messages.
fn read_protobuf(mut bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    while !bytes.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut bytes).expect("a message");
        let name = family.name();
        lines.push(format!("help {name} {}", hex(family.help().as_bytes())));
        for metric in &family.metric {
            let labels = pairs(&metric.label);
            let mut add = |suffix: &str, bound, value: f64| {
                lines.push(sample_line(&format!("{name}{suffix}"), &labels, bound, value));
            };
            let mut exemplars = Vec::new();
            if let Some(counter) = &metric.counter {
                add("", None, counter.value());
                exemplars.extend(&counter.exemplar);
            }
            if let Some(gauge) = &metric.gauge {
                add("", None, gauge.value());
            }
            if let Some(untyped) = &metric.untyped {
                add("", None, untyped.value());
            }
            if let Some(summary) = &metric.summary {
                for quantile in &summary.quantile {
                    add("", Some(("quantile", quantile.quantile())), quantile.value());
                }
                add("_count", None, summary.sample_count() as f64);
                add("_sum", None, summary.sample_sum());
            }
            if let Some(histogram) = &metric.histogram {
                for bucket in &histogram.bucket {
                    add("_bucket", Some(("le", bucket.upper_bound())), bucket.cumulative_count() as f64);
                    exemplars.extend(&bucket.exemplar);
                }
                if histogram.bucket.last().is_none_or(|bucket| bucket.upper_bound() != f64::INFINITY) {
                    add("_bucket", Some(("le", f64::INFINITY)), histogram.sample_count() as f64);
                }
                add("_count", None, histogram.sample_count() as f64);
                add("_sum", None, histogram.sample_sum());
                exemplars.extend(&histogram.exemplars);
                if let Some(native) = native_of(histogram) {
                    lines.push(native_line(name, &labels, &native));
                }
            }
            for exemplar in exemplars {
                let labels = pairs(&exemplar.label);
                lines.push(sample_line(&format!("exemplar {name}"), &labels, None, exemplar.value()));
            }
        }
    }
    lines
}

fn pairs(labels: &[LabelPair]) -> Vec<(String, String)> {
    labels.iter().map(|label| (label.name().to_owned(), label.value().to_owned())).collect()
}

/// Returns the native buckets. A histogram without them has no spans and no zero bucket.
fn native_of(histogram: &Histogram) -> Option<Native> {
    let has_zero_bucket = histogram.zero_threshold() != 0.0 || histogram.zero_count() != 0;
    let has_spans = !histogram.positive_span.is_empty() || !histogram.negative_span.is_empty();
    (has_zero_bucket || has_spans).then(|| Native {
        schema: histogram.schema(),
        zero_threshold: histogram.zero_threshold(),
        zero_count: histogram.zero_count(),
        positive: histogram.positive_buckets(),
        negative: histogram.negative_buckets(),
    })
}

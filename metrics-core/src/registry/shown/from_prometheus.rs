//! Passes families of the `prometheus` crate to this crate's visitors.
//!
//! The `prometheus` crate uses different structs when its `protobuf` feature is enabled, and any crate in the
//! dependency tree may enable that feature. This code compiles with and without it.

use std::collections::HashSet;
use std::hash::BuildHasher;

use prometheus::proto::{self, LabelPair, MetricFamily, MetricType};

use super::recorded::closed;
use super::skipped::SkipReason;
use crate::kind::Kind;
use crate::labels;
use crate::sample::{Labels, Number, Value, Visitor};

/// Returns the family without repeated series.
pub(crate) fn without_repeats(family: MetricFamily) -> Vec<MetricFamily> {
    if repeats(&family) { merged(&[family], &[]) } else { vec![family] }
}

/// Returns all parts, without repeated series. The same metric may be registered twice, but Prometheus rejects an
/// exposition that contains a series twice.
pub(crate) fn merged(parts: &[MetricFamily], more: &[MetricFamily]) -> Vec<MetricFamily> {
    let mut seen = HashSet::new();
    let mut all: Vec<MetricFamily> = parts.iter().chain(more).cloned().collect();
    for part in &mut all {
        let metrics = std::mem::take(part.mut_metric());
        *part.mut_metric() = metrics.into_iter().filter(|metric| seen.insert(pairs(metric))).collect();
    }
    all
}

/// Returns the labels of a metric without those that have an empty value, sorted by name.
fn pairs(metric: &proto::Metric) -> Vec<(String, String)> {
    let mut pairs: Vec<_> =
        present_labels(metric).map(|pair| (pair.name().to_owned(), pair.value().to_owned())).collect();
    pairs.sort_unstable();
    pairs
}

/// Returns the labels except those with an empty value, which are equivalent to absent labels.
fn present_labels(metric: &proto::Metric) -> impl Iterator<Item = &LabelPair> {
    metric.get_label().iter().filter(|pair| !pair.value().is_empty())
}

/// Returns true if any two metrics of the family have the same labels. For most families, hashes suffice to rule this
/// out.
fn repeats(family: &MetricFamily) -> bool {
    let hasher = foldhash::fast::FixedState::default();
    let hash = |pair: &LabelPair| hasher.hash_one((pair.name(), pair.value()));
    let of = |metric: &proto::Metric| present_labels(metric).map(hash).fold(0, u64::wrapping_add);
    let metrics = family.get_metric();
    let mut hashes: Vec<u64> = metrics.iter().map(of).collect();
    hashes.sort_unstable();
    let mut seen = HashSet::new();
    !hashes.is_sorted_by(|one, next| one < next) && !metrics.iter().all(|metric| seen.insert(pairs(metric)))
}

pub(crate) fn check_labels(family: &MetricFamily) -> Result<(), SkipReason> {
    family.get_metric().iter().try_for_each(|metric| {
        let names = metric.get_label().iter().map(LabelPair::name);
        Ok(labels::check_names(family.name(), kind_of(family), &names)?)
    })
}

pub(crate) fn kind_of(family: &MetricFamily) -> Kind {
    match family.get_field_type() {
        MetricType::COUNTER => Kind::Counter,
        MetricType::GAUGE => Kind::Gauge,
        MetricType::SUMMARY => Kind::Summary,
        MetricType::HISTOGRAM => Kind::Histogram,
        MetricType::UNTYPED => Kind::Untyped,
    }
}

pub(crate) fn show(parts: &[MetricFamily], mut from: usize, most: usize, visitor: &mut dyn Visitor) -> bool {
    let mut text = String::new();
    let mut left = most;
    for part in parts {
        let metrics = part.get_metric();
        let kind = kind_of(part);
        for metric in metrics.iter().skip(from).take(left) {
            text.clear();
            for pair in metric.get_label() {
                labels::push_pair(&mut text, 0, pair.name(), pair.value());
            }
            visit_value(kind, metric, |value| visitor.series(Labels::new("", &text), value));
        }
        left -= metrics.len().saturating_sub(from).min(left);
        from = from.saturating_sub(metrics.len());
    }
    left == 0
}

fn visit_value(kind: Kind, metric: &proto::Metric, mut visit: impl FnMut(&Value<'_>)) {
    match kind {
        Kind::Counter => visit(&Value::Counter(whole_if_exact(counter_value(metric.get_counter())))),
        Kind::Gauge | Kind::Info | Kind::StateSet => visit(&Value::Gauge(gauge_value(metric.get_gauge()))),
        Kind::Untyped => visit(&Value::Untyped(untyped_value(metric))),
        Kind::Summary => {
            let summary = metric.get_summary();
            let quantiles: Vec<_> =
                summary.get_quantile().iter().map(|quantile| (quantile.quantile(), quantile.value())).collect();
            visit(&Value::Summary { count: summary.sample_count(), sum: summary.sample_sum(), quantiles: &quantiles });
        }
        Kind::Histogram => {
            let histogram = metric.get_histogram();
            let count = histogram.get_sample_count();
            let buckets =
                histogram.get_bucket().iter().map(|bucket| (bucket.upper_bound(), bucket.cumulative_count())).collect();
            visit(&Value::Histogram {
                count,
                sum: histogram.get_sample_sum(),
                buckets: &closed(buckets, count),
                native: None,
            });
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
fn whole_if_exact(value: f64) -> Number {
    if (0.0..9_007_199_254_740_992.0).contains(&value) && value.trunc() == value {
        Number::Whole(value as u64)
    } else {
        Number::Float(value)
    }
}

// The structs of the `prometheus` crate have different getters with and without its `protobuf` feature. Method lookup
// prefers inherent methods to trait methods. Each of these traits adds a getter that is missing in one configuration,
// so that the same expression compiles in both.

#[allow(dead_code, reason = "used where the feature is off")]
trait WithoutProtobuf {
    fn value(&self) -> f64;
}

#[allow(dead_code, reason = "used where the feature is on")]
trait WithProtobuf {
    fn get_value(&self) -> f64;
}

impl WithoutProtobuf for proto::Counter {
    fn value(&self) -> f64 {
        self.get_value()
    }
}

impl WithProtobuf for proto::Counter {
    fn get_value(&self) -> f64 {
        self.value()
    }
}

impl WithoutProtobuf for proto::Gauge {
    fn value(&self) -> f64 {
        self.get_value()
    }
}

impl WithProtobuf for proto::Gauge {
    fn get_value(&self) -> f64 {
        self.value()
    }
}

fn counter_value(counter: &proto::Counter) -> f64 {
    counter.get_value()
}

fn gauge_value(gauge: &proto::Gauge) -> f64 {
    gauge.get_value()
}

/// An untyped value that is accessible only through its struct's `Debug` output.
#[allow(dead_code, reason = "used where the feature is on")]
struct DebugValue(f64);

#[allow(dead_code, reason = "used where the feature is on")]
impl DebugValue {
    fn get_value(&self) -> f64 {
        self.0
    }
}

#[allow(dead_code, reason = "used where the feature is on")]
trait UntypedWithProtobuf {
    fn get_untyped(&self) -> DebugValue;
}

impl UntypedWithProtobuf for proto::Metric {
    /// Parses the `Debug` output, because the struct has no getter for this field if `protobuf` is enabled.
    fn get_untyped(&self) -> DebugValue {
        let shown = format!("{self:?}");
        let value = shown.split("untyped:").nth(1).and_then(|rest| rest.split("value:").nth(1));
        let number = value.map(|rest| rest.trim_start().trim_start_matches("Some("));
        let end = |rest: &str| rest.find([')', ',', ' ', '}']).unwrap_or(rest.len());
        DebugValue(number.and_then(|rest| rest[..end(rest)].parse().ok()).unwrap_or(f64::NAN))
    }
}

#[allow(deprecated, reason = "the one getter that exists without `protobuf`")]
fn untyped_value(metric: &proto::Metric) -> f64 {
    metric.get_untyped().get_value()
}

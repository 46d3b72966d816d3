//! Families of the `prometheus` crate, as the visitor of a scrape sees them.

use std::collections::{BTreeMap, HashSet};

use prometheus::proto::{self, LabelPair, MetricFamily, MetricType};

use super::Registry;
use crate::internal::InternalError;
use crate::labels;
use crate::sample::{FamilyInfo, Kind, Labels, Number, Value, Visitor};

/// What collectors showed in one scrape.
pub(super) struct Foreign {
    /// Families by name; several collectors may each have a part of one.
    pub(super) families: BTreeMap<String, Vec<MetricFamily>>,
    /// What is left out because of its name.
    pub(super) clashes: Vec<Clash>,
}

/// A foreign family whose name, or a sample name, is one of ours.
pub(super) struct Clash {
    pub(super) name: String,
    pub(super) by: String,
}

impl Registry {
    /// Collects; runs user code, so no lock may be held.
    pub(super) fn gather_foreign(&self) -> Foreign {
        let collected = self.collect_foreign();
        let mut left_out = Vec::new();
        let state = self.read();
        let mut foreign = Foreign { families: BTreeMap::new(), clashes: Vec::new() };
        for family in collected {
            let (name, kind) = (family.name(), kind_of(&family));
            if family.get_metric().is_empty() {
                continue;
            }
            if let Some(by) = state.members.clash(name, kind) {
                foreign.clashes.push(Clash { name: name.to_owned(), by: by.to_owned() });
                continue;
            }
            let parts = foreign.families.entry(name.to_owned()).or_default();
            if is_valid(&family) && parts.first().is_none_or(|first| kind_of(first) == kind) {
                parts.push(family);
            } else {
                left_out.push(name.to_owned());
            }
        }
        // Recording logs, and a logger is user code.
        drop(state);
        for name in foreign.clashes.iter().map(|clash| &clash.name).chain(&left_out) {
            InternalError::ForeignConflict.record(name);
        }
        foreign
    }
}

/// Whether the family can be written without spoiling the scrape for all others.
fn is_valid(family: &MetricFamily) -> bool {
    labels::is_metric_name(family.name())
        && family.get_metric().iter().all(|metric| {
            let names = metric.get_label().iter().map(LabelPair::name);
            labels::check_names(family.name(), kind_of(family), &names).is_ok()
        })
}

fn kind_of(family: &MetricFamily) -> Kind {
    match family.get_field_type() {
        MetricType::COUNTER => Kind::Counter,
        MetricType::GAUGE => Kind::Gauge,
        MetricType::SUMMARY => Kind::Summary,
        MetricType::HISTOGRAM => Kind::Histogram,
        MetricType::UNTYPED => Kind::Untyped,
    }
}

/// Visits the parts of one foreign family.
pub(super) fn visit(parts: &[MetricFamily], visitor: &mut dyn Visitor) {
    let Some(first) = parts.first() else { return };
    let kind = kind_of(first);
    visitor.family(&FamilyInfo { name: first.name(), help: first.help(), kind, unit: None });
    let mut text = String::new();
    // One metric may be there by two ways; twice in one exposition it would be refused.
    let mut shown = (parts.len() > 1).then(HashSet::new);
    for metric in parts.iter().flat_map(MetricFamily::get_metric) {
        text.clear();
        for pair in metric.get_label() {
            labels::push_pair(&mut text, 0, pair.name(), pair.value());
        }
        if shown.as_mut().is_some_and(|shown| !shown.insert(text.clone())) {
            continue;
        }
        visit_value(kind, metric, |value| visitor.series(Labels::new("", &text), value));
    }
}

fn visit_value(kind: Kind, metric: &proto::Metric, mut visit: impl FnMut(&Value<'_>)) {
    match kind {
        Kind::Counter => visit(&Value::Counter(whole_if_exact(counter_value(metric.get_counter())))),
        Kind::Gauge => visit(&Value::Gauge(gauge_value(metric.get_gauge()))),
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
            let mut buckets: Vec<_> =
                histogram.get_bucket().iter().map(|bucket| (bucket.upper_bound(), bucket.cumulative_count())).collect();
            if buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
                buckets.push((f64::INFINITY, count));
            }
            visit(&Value::Histogram { count, sum: histogram.get_sample_sum(), buckets: &buckets });
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

// With its `protobuf` feature, which any crate in the tree may turn on, the `prometheus` crate has other structs with
// other getters. Method names are looked up on the type itself first and on traits second, so with a trait for the
// getter that is missing, one expression compiles and means the same both ways.

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

/// An untyped value that only the struct's `Debug` shows.
#[allow(dead_code, reason = "used where the feature is on")]
struct Shown(f64);

#[allow(dead_code, reason = "used where the feature is on")]
impl Shown {
    fn get_value(&self) -> f64 {
        self.0
    }
}

#[allow(dead_code, reason = "used where the feature is on")]
trait UntypedWithProtobuf {
    fn get_untyped(&self) -> Shown;
}

impl UntypedWithProtobuf for proto::Metric {
    /// There is no getter in this case, and the field exists in this case only.
    fn get_untyped(&self) -> Shown {
        let shown = format!("{self:?}");
        let value = shown.split("untyped:").nth(1).and_then(|rest| rest.split("value:").nth(1));
        let number = value.map(|rest| rest.trim_start().trim_start_matches("Some("));
        let end = |rest: &str| rest.find([')', ',', ' ', '}']).unwrap_or(rest.len());
        Shown(number.and_then(|rest| rest[..end(rest)].parse().ok()).unwrap_or(f64::NAN))
    }
}

#[allow(deprecated, reason = "the one getter that exists without `protobuf`")]
fn untyped_value(metric: &proto::Metric) -> f64 {
    metric.get_untyped().get_value()
}

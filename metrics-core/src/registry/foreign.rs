//! Families of the `prometheus` crate, as the visitor of a scrape sees them.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use prometheus::proto::{self, LabelPair, MetricFamily, MetricType};

use super::Registry;
use super::collectors::Collected;
use super::recorded::Recorded;
use crate::internal::InternalError;
use crate::labels;
use crate::sample::{FamilyInfo, Kind, Labels, Number, Value, Visitor};

/// What collectors showed in one scrape.
pub(super) struct Foreign {
    pub(super) families: BTreeMap<String, Shown>,
    /// What is left out because of its name.
    pub(super) clashes: Vec<Clash>,
}

/// One family that collectors showed.
pub(super) enum Shown {
    /// By a collector of ours.
    Own(Recorded),
    /// By collectors of the `prometheus` crate, several of which may each have a part of it.
    Prometheus(Vec<MetricFamily>),
}

/// A foreign family whose name, or a sample name, is one of ours.
pub(super) struct Clash {
    pub(super) name: String,
    pub(super) by: String,
}

impl Registry {
    /// Collects; runs user code, so no lock may be held.
    pub(super) fn gather_foreign(&self, patience: Duration) -> Foreign {
        let collected = self.collect_foreign(patience);
        let mut left_out = Vec::new();
        let mut foreign = Foreign { families: BTreeMap::new(), clashes: Vec::new() };
        let state = self.read();
        let mut add = |name: &str, kind: Kind, shown: Shown| {
            if let Some(by) = state.members.clash(name, kind) {
                foreign.clashes.push(Clash { name: name.to_owned(), by: by.to_owned() });
            } else if !foreign.add(name, shown) {
                left_out.push(name.to_owned());
            }
        };
        for collected in collected {
            match collected {
                Collected::Own(families) => {
                    for family in families.into_iter().filter(|family| !family.is_empty()) {
                        add(&family.name.clone(), family.kind, Shown::Own(family));
                    }
                }
                Collected::Prometheus(families) => {
                    for family in families.into_iter().filter(|family| !family.get_metric().is_empty()) {
                        let (name, kind) = (family.name().to_owned(), kind_of(&family));
                        add(&name, kind, Shown::Prometheus(vec![family]));
                    }
                }
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

impl Foreign {
    /// False where it is invalid, or does not go with what another collector showed.
    fn add(&mut self, name: &str, shown: Shown) -> bool {
        match (self.families.get_mut(name), shown) {
            (None, shown) if shown.is_valid() => {
                self.families.insert(name.to_owned(), shown);
                true
            }
            (Some(Shown::Prometheus(parts)), Shown::Prometheus(more)) => {
                let fits = |part: &MetricFamily| parts.first().is_none_or(|first| kind_of(first) == kind_of(part));
                let valid = more.iter().all(|part| is_valid(part) && fits(part));
                if valid {
                    parts.extend(more);
                }
                valid
            }
            _ => false,
        }
    }
}

impl Shown {
    fn is_valid(&self) -> bool {
        match self {
            Self::Own(family) => family.is_valid(),
            Self::Prometheus(parts) => parts.iter().all(is_valid),
        }
    }

    /// Shows it to a visitor.
    pub(super) fn visit(&self, visitor: &mut dyn Visitor) {
        match self {
            Self::Own(family) => family.visit(visitor),
            Self::Prometheus(parts) => visit(parts, visitor),
        }
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
fn visit(parts: &[MetricFamily], visitor: &mut dyn Visitor) {
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
    /// There is no getter in this case, and the field exists in this case only.
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

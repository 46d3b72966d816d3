//! Families that collectors show: which are exported, and those of the `prometheus` crate as a visitor sees them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use prometheus::proto::{self, LabelPair, MetricFamily, MetricType};

use super::recorded::{Recorded, closed};
use crate::error::Error;
use crate::internal::InternalError;
use crate::kind::Kind;
use crate::labels;
use crate::registry::Registry;
use crate::registry::collect::Collected;
use crate::sample::{FamilyInfo, Labels, Number, Value, Visitor};

/// What collectors showed in one scrape.
#[derive(Default)]
pub(crate) struct Foreign {
    pub(crate) families: BTreeMap<String, ForeignFamily>,
    pub(crate) left_out: Vec<LeftOut>,
    /// Sample names of these families, and the family each belongs to.
    taken: HashMap<String, String>,
}

/// One family, as scrapes that share what a collector has shown have it.
pub(crate) enum ForeignFamily {
    /// One of those that a collector has shown.
    Shared(Arc<Collected>, usize),
    /// Put together of what several have shown.
    Merged(Shown),
}

/// One family that a collector showed.
pub(crate) enum Shown {
    /// By a collector of ours.
    Own(Recorded),
    /// By collectors of the `prometheus` crate, several of which may each have a part of it.
    Prometheus(Vec<MetricFamily>),
}

/// A family that is not exported.
pub(crate) struct LeftOut {
    pub(crate) name: String,
    /// The collector that showed it.
    by: String,
    reason: Arc<Reason>,
}

/// Why a family is left out.
pub(crate) enum Reason {
    /// Its name, or a sample name, belongs to this family of ours.
    Taken(String),
    /// What another collector has shown under its name is of another type, or comes from another crate.
    Mixed,
    /// A name in it is invalid.
    Invalid(Error),
    /// Two of its series have the same labels.
    Repeated,
    /// A value is not of its type.
    Mistyped,
}

impl From<Error> for Reason {
    fn from(error: Error) -> Self {
        Self::Invalid(error)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(by) => write!(f, "its name belongs to {by}"),
            Self::Mixed => f.write_str("another family of its name, which it does not go with, is shown"),
            Self::Invalid(error) => error.fmt(f),
            Self::Repeated => f.write_str("two of its series have the same labels"),
            Self::Mistyped => f.write_str("a value is not of its type"),
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, by, reason } = self;
        write!(f, "{name} of {by} is left out: {reason}")
    }
}

impl Registry {
    /// What of this is to be shown.
    pub(crate) fn foreign(&self, collected: Vec<Arc<Collected>>) -> Foreign {
        let mut foreign = Foreign::default();
        let state = self.read();
        for collected in collected {
            for (at, (shown, reason)) in collected.families.iter().enumerate() {
                let name = shown.name();
                let added = match (state.members.clash(name, shown.kind()), reason) {
                    (Some(ours), _) => Err(Arc::new(Reason::Taken(ours.to_owned()))),
                    (None, Some(reason)) => Err(Arc::clone(reason)),
                    (None, None) => foreign.add(name, &collected, at).map_err(Arc::new),
                };
                if let Err(reason) = added {
                    foreign.left_out.push(LeftOut { name: name.to_owned(), by: collected.by.clone(), reason });
                }
            }
        }
        // Recording logs, and a logger is user code.
        drop(state);
        for LeftOut { name, reason, .. } in &foreign.left_out {
            InternalError::ForeignConflict.record_cause(name, reason);
        }
        foreign
    }
}

impl Foreign {
    /// Adds a family, or a part of one.
    fn add(&mut self, name: &str, collected: &Arc<Collected>, at: usize) -> Result<(), Reason> {
        let (added, _) = &collected.families[at];
        let Some(known) = self.families.get_mut(name) else {
            let samples: Vec<String> = text_samples(name, added.kind()).collect();
            if let Some(by) = samples.iter().find_map(|sample| self.taken.get(sample)) {
                return Err(Reason::Taken(by.clone()));
            }
            self.taken.extend(samples.into_iter().map(|sample| (sample, name.to_owned())));
            self.families.insert(name.to_owned(), ForeignFamily::Shared(Arc::clone(collected), at));
            return Ok(());
        };
        match (known.shown(), added) {
            (Shown::Prometheus(parts), Shown::Prometheus(more))
                if parts.first().map(kind_of) == more.first().map(kind_of) =>
            {
                *known = ForeignFamily::Merged(Shown::Prometheus(merged(parts, more)));
                Ok(())
            }
            _ => Err(Reason::Mixed),
        }
    }
}

impl ForeignFamily {
    pub(crate) fn shown(&self) -> &Shown {
        match self {
            Self::Shared(collected, at) => &collected.families[*at].0,
            Self::Merged(shown) => shown,
        }
    }
}

/// All parts. One metric may be there by two ways; twice in one exposition it would be refused.
fn merged(parts: &[MetricFamily], more: &[MetricFamily]) -> Vec<MetricFamily> {
    let mut seen = HashSet::new();
    let mut all: Vec<MetricFamily> = parts.iter().chain(more).cloned().collect();
    for part in &mut all {
        let metrics = std::mem::take(part.mut_metric());
        *part.mut_metric() = metrics.into_iter().filter(|metric| seen.insert(pairs(metric))).collect();
    }
    all
}

/// The sample names that a family of this name has in the text format.
fn text_samples(name: &str, kind: Kind) -> impl Iterator<Item = String> + '_ {
    let suffixes = kind.suffixes().iter().filter(|suffix| **suffix != "_created");
    std::iter::once(name.to_owned()).chain(suffixes.map(move |suffix| format!("{name}{suffix}")))
}

/// The families of a collector of the `prometheus` crate, each by itself.
pub(crate) fn shown(families: Vec<MetricFamily>) -> Vec<Shown> {
    let once = |family| if repeats(&family) { merged(&[family], &[]) } else { vec![family] };
    families.into_iter().map(|family| Shown::Prometheus(once(family))).collect()
}

impl Shown {
    fn name(&self) -> &str {
        match self {
            Self::Own(family) => &family.name,
            Self::Prometheus(parts) => parts.first().map_or("", MetricFamily::name),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Own(family) => family.kind,
            Self::Prometheus(parts) => parts.first().map_or(Kind::Untyped, kind_of),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Own(family) => family.is_empty(),
            Self::Prometheus(parts) => parts.iter().all(|part| part.get_metric().is_empty()),
        }
    }

    /// Whether it can be written without spoiling the scrape for all others.
    pub(crate) fn check(&self) -> Result<(), Reason> {
        if !labels::is_metric_name(self.name()) {
            return Err(Reason::Invalid(Error::InvalidName { name: self.name().to_owned() }));
        }
        match self {
            Self::Own(family) => family.check(),
            Self::Prometheus(parts) => parts.iter().try_for_each(check_labels),
        }
    }

    /// Shows the family to a visitor, without its series.
    pub(crate) fn begin(&self, visitor: &mut dyn Visitor) {
        match self {
            Self::Own(family) => visitor.family(&family.info()),
            Self::Prometheus(parts) => {
                let Some(first) = parts.first() else { return };
                visitor.family(&FamilyInfo::new(first.name(), first.help(), kind_of(first)));
            }
        }
    }

    /// Shows so many of the series; false if there are no more behind them.
    pub(crate) fn show(&self, from: usize, most: usize, visitor: &mut dyn Visitor) -> bool {
        match self {
            Self::Own(family) => family.show(from, most, visitor),
            Self::Prometheus(parts) => show(parts, from, most, visitor),
        }
    }
}

/// The labels of a metric, in order.
fn pairs(metric: &proto::Metric) -> Vec<(String, String)> {
    let mut pairs: Vec<_> =
        metric.get_label().iter().map(|pair| (pair.name().to_owned(), pair.value().to_owned())).collect();
    pairs.sort_unstable();
    pairs
}

/// Whether two metrics have the same labels. Most families are told by hashes that there are no such.
fn repeats(family: &MetricFamily) -> bool {
    let hasher = foldhash::fast::FixedState::default();
    let hash = |pair: &LabelPair| hasher.hash_one((pair.name(), pair.value()));
    let of = |metric: &proto::Metric| metric.get_label().iter().map(hash).fold(0, u64::wrapping_add);
    let metrics = family.get_metric();
    let mut hashes: Vec<u64> = metrics.iter().map(of).collect();
    hashes.sort_unstable();
    let mut seen = HashSet::new();
    !hashes.is_sorted_by(|one, next| one < next) && !metrics.iter().all(|metric| seen.insert(pairs(metric)))
}

fn check_labels(family: &MetricFamily) -> Result<(), Reason> {
    family.get_metric().iter().try_for_each(|metric| {
        let names = metric.get_label().iter().map(LabelPair::name);
        Ok(labels::check_names(family.name(), kind_of(family), &names)?)
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

fn show(parts: &[MetricFamily], mut from: usize, most: usize, visitor: &mut dyn Visitor) -> bool {
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
            let buckets =
                histogram.get_bucket().iter().map(|bucket| (bucket.upper_bound(), bucket.cumulative_count())).collect();
            visit(&Value::Histogram { count, sum: histogram.get_sample_sum(), buckets: &closed(buckets, count) });
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

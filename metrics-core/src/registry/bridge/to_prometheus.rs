//! Converts this crate's families to those of the `prometheus` crate, which have no units and store counters as
//! floats.

use std::time::Duration;

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType, Quantile, Summary,
};

use crate::kind::Kind;
use crate::registry::Registry;
use crate::registry::scrape::sources::Sources;
use crate::registry::scrape::steps::Steps;
use crate::sample::{FamilyInfo, Labels, Value, Visitor};

/// Returns the registry's own families, without those of its collectors.
pub(crate) fn own_families(registry: &Registry) -> Vec<MetricFamily> {
    let mut families = ProtoFamilies::default();
    Steps::new(Sources::own(registry), false).show_all(&mut families);
    families.0
}

/// Returns the registry's own families and those of its collectors. Waits for the collectors for at most `timeout`.
pub(crate) fn all_families(registry: &Registry, timeout: Duration) -> Vec<MetricFamily> {
    let mut families = ProtoFamilies::default();
    Steps::new(Sources::all(registry, timeout), false).show_all(&mut families);
    families.0
}

#[derive(Default)]
struct ProtoFamilies(Vec<MetricFamily>);

impl Visitor for ProtoFamilies {
    fn family(&mut self, family: &FamilyInfo<'_>) {
        let mut proto = MetricFamily::default();
        proto.set_name(family.name.to_owned());
        proto.set_help(family.help.to_owned());
        proto.set_field_type(match family.kind {
            Kind::Counter => MetricType::COUNTER,
            // The `prometheus` crate's text encoder panics on untyped families.
            Kind::Gauge | Kind::Info | Kind::StateSet | Kind::Untyped => MetricType::GAUGE,
            Kind::Summary => MetricType::SUMMARY,
            Kind::Histogram => MetricType::HISTOGRAM,
        });
        self.0.push(proto);
    }

    fn series(&mut self, labels: Labels<'_>, value: &Value<'_>) {
        let mut pairs: Vec<LabelPair> = labels.iter().map(|(name, value)| pair(name, value.into_owned())).collect();
        pairs.sort_by(|one, other| one.name().cmp(other.name()));
        let mut metric = Metric::from_label(pairs);
        match *value {
            Value::Counter(total) => metric.set_counter(counter(total.as_f64())),
            // Only collectors report untyped families. A gauge is the closest type.
            Value::Gauge(value) | Value::Untyped(value) => metric.set_gauge(gauge(value)),
            Value::Summary { count, sum, quantiles } => metric.set_summary(summary(count, sum, quantiles)),
            Value::Histogram { count, sum, buckets, .. } => metric.set_histogram(histogram(count, sum, buckets)),
        }
        if let Some(family) = self.0.last_mut() {
            family.mut_metric().push(metric);
        }
    }
}

fn pair(name: &str, value: String) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value);
    pair
}

fn counter(value: f64) -> Counter {
    let mut counter = Counter::default();
    counter.set_value(value);
    counter
}

fn gauge(value: f64) -> Gauge {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    gauge
}

fn summary(count: u64, sum: f64, quantiles: &[(f64, f64)]) -> Summary {
    let mut summary = Summary::default();
    summary.set_sample_count(count);
    summary.set_sample_sum(sum);
    let quantiles = quantiles.iter().map(|(quantile, value)| {
        let mut proto = Quantile::default();
        proto.set_quantile(*quantile);
        proto.set_value(*value);
        proto
    });
    summary.set_quantile(quantiles.collect());
    summary
}

fn histogram(count: u64, sum: f64, buckets: &[(f64, u64)]) -> Histogram {
    let mut histogram = Histogram::default();
    histogram.set_sample_count(count);
    histogram.set_sample_sum(sum);
    // The `prometheus` crate's encoders add the `+Inf` bucket.
    let finite = buckets.iter().filter(|(bound, _)| bound.is_finite());
    let buckets = finite.map(|(bound, count)| {
        let mut proto = Bucket::default();
        proto.set_upper_bound(*bound);
        proto.set_cumulative_count(*count);
        proto
    });
    histogram.set_bucket(buckets.collect());
    histogram
}

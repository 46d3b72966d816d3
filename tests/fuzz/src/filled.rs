//! A registry with the families of a model: some are recorded by metrics, and a collector reports the others.

use std::error::Error;

use metrics_core::{Collect, Counter, Family, FamilyInfo, Gauge, Histogram, Kind, Labels, NativeHistogram, Registry};
use metrics_core::{Summary, Value, Visitor};

use crate::model::{Model, ModelFamily, Sample, Series};

impl Model {
    /// Returns a registry with these families.
    pub(crate) fn registry(&self) -> Registry {
        let registry = Registry::new();
        self.record(&registry);
        for family in self.families.iter().filter(|family| !family.is_recorded) {
            registry.register_collector(Reported(family.clone())).expect("a valid and unique name");
        }
        registry
    }

    /// Records all amounts of the families that are recorded by metrics.
    pub(crate) fn record(&self, registry: &Registry) {
        self.families.iter().filter(|family| family.is_recorded).for_each(|family| family.record(registry));
    }
}

impl ModelFamily {
    fn record(&self, registry: &Registry) {
        let Self { name, help, unit, series, .. } = self;
        macro_rules! recorded {
            ($builder:expr, $record:expr) => {{
                let mut builder = $builder;
                if let Some(unit) = unit {
                    builder = builder.unit(*unit);
                }
                for Series { labels, amounts, .. } in series {
                    let builder = builder.clone();
                    let names: Vec<&str> = labels.iter().map(|(name, _)| name.as_str()).collect();
                    let values: Vec<&str> = labels.iter().map(|(_, value)| value.as_str()).collect();
                    let metric = match (names.as_slice(), values.as_slice()) {
                        ([], _) => builder.register_in(registry).expect("valid"),
                        ([a], [x]) => Family::labels(&builder.labels([a]).register_in(registry).expect("valid"), [x]),
                        ([a, b], [x, y]) => {
                            Family::labels(&builder.labels([a, b]).register_in(registry).expect("valid"), [x, y])
                        }
                        ([a, b, c], [x, y, z]) => {
                            Family::labels(&builder.labels([a, b, c]).register_in(registry).expect("valid"), [x, y, z])
                        }
                        _ => unreachable!("there are at most three labels"),
                    };
                    for (amount, trace) in amounts {
                        $record(&metric, *amount, trace.as_deref());
                    }
                }
            }};
        }
        match self.kind {
            Kind::Counter => {
                recorded!(Counter::builder(name, help), |counter: &Counter, amount, trace: Option<&str>| match trace {
                    Some(trace) => counter.inc_by_with_exemplar(amount, || [("trace_id", trace)]),
                    None => counter.inc_by(amount),
                })
            }
            Kind::Gauge => recorded!(Gauge::builder(name, help), |gauge: &Gauge, amount: f64, _| gauge.add(amount)),
            Kind::Summary => {
                recorded!(Summary::builder(name, help), |summary: &Summary, amount: f64, _| summary.observe(amount))
            }
            _ => {
                let builder = Histogram::builder(name, help).buckets([-1.0, 0.0, 0.5, 4.0]);
                recorded!(builder, |histogram: &Histogram, amount: f64, trace: Option<&str>| match trace {
                    Some(trace) => histogram.observe_with_exemplar(amount, || [("trace_id", trace)]),
                    None => histogram.observe(amount),
                });
            }
        }
    }
}

/// Reports a family.
struct Reported(ModelFamily);

impl Collect for Reported {
    fn names(&self) -> Vec<String> {
        vec![self.0.name.clone()]
    }

    fn collect(&self, visitor: &mut dyn Visitor) -> Result<(), Box<dyn Error + Send + Sync>> {
        let ModelFamily { name, help, kind, unit, series, .. } = &self.0;
        let mut info = FamilyInfo::new(name, help, *kind);
        info.unit = *unit;
        visitor.family(&info);
        for Series { labels, value, .. } in series {
            let pairs: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let value = match value {
                Sample::Counter(total) => Value::Counter(*total),
                Sample::Gauge(value) => Value::Gauge(*value),
                Sample::Untyped(value) => Value::Untyped(*value),
                Sample::Summary { count, sum, quantiles } => Value::Summary { count: *count, sum: *sum, quantiles },
                Sample::Histogram { count, sum, buckets, native } => {
                    let native = native.as_ref().map(|native| NativeHistogram {
                        schema: native.schema,
                        zero_threshold: native.zero_threshold,
                        zero_count: native.zero_count,
                        positive: &native.positive,
                        negative: &native.negative,
                    });
                    Value::Histogram { count: *count, sum: *sum, buckets, native }
                }
            };
            visitor.series(Labels::of(&pairs).borrow(), &value);
        }
        Ok(())
    }
}

//! The visitor that encodes series as data points: the `Metric` messages of OTLP.
//!
//! Field numbers match `opentelemetry/proto/metrics/v1/metrics.proto`. A metric contains data points of one type, so a
//! family whose series have different types becomes several metrics with the same name.

use std::time::SystemTime;

use super::super::push::PushContext;
use super::super::push::differences::Differences;
use super::delta::{OwnedPoint, Temporality};
use super::exponential;
use super::fields::{field_len, nanoseconds, push_attributes, push_exemplars, unit};
use crate::cell::varint;
use crate::encode::wire::{push_bytes, push_double, push_fixed64, push_sint, push_tag, push_uint};
use crate::sample::{Exemplar, FamilyInfo, Labels, NativeHistogram, Number, SeriesDetails, Value, Visitor};

/// The codes of aggregation temporality.
const DELTA: u64 = 1;
const CUMULATIVE: u64 = 2;

const INCONSISTENT: &str = "has buckets that are not sorted or contradict its count";
const INVALID_QUANTILE: &str = "is a quantile with a negative value or outside of 0 to 1, which OTLP does not allow";

/// A visitor that encodes a batch of metrics.
pub(super) struct Metrics<'p> {
    /// The finished metrics, as the repeated field `ScopeMetrics.metrics`.
    finished: Vec<u8>,
    /// The name, description and unit of the current family. Each metric of the family begins with them.
    head: Vec<u8>,
    /// The name of the current family.
    family: String,
    /// The type of the current metric.
    data: Data,
    /// The temporality of the current metric.
    temporality: u64,
    /// The data points of the current metric, as a repeated field.
    points: Vec<u8>,
    /// The number of data points in the batch.
    count: u64,
    /// The number of the batch.
    batch: u64,
    /// A data point.
    point: Vec<u8>,
    /// The time of all data points.
    time: u64,
    /// The start time of series whose creation time is unknown.
    start: u64,
    /// The state of the series that are sent as increases.
    differences: Option<(&'p mut Differences<OwnedPoint>, Temporality)>,
    /// The labels of a series that is sent as an increase, sorted by name.
    key: Vec<u8>,
    push: &'p PushContext<'p>,
}

/// The type of a metric's data points. The discriminants are the field numbers in `Metric`.
#[derive(Clone, Copy, PartialEq)]
enum Data {
    Gauge = 5,
    Sum = 7,
    Histogram = 9,
    ExponentialHistogram = 10,
    Summary = 11,
}

/// A batch of encoded metrics.
pub(super) struct Batch {
    /// The repeated field `ScopeMetrics.metrics`.
    pub(super) metrics: Vec<u8>,
    /// The number of data points.
    pub(super) points: u64,
}

impl<'p> Metrics<'p> {
    /// Creates a visitor. All times are in nanoseconds since 1970.
    pub(super) fn new(time: u64, start: u64, push: &'p PushContext<'p>) -> Self {
        Self {
            finished: Vec::new(),
            head: Vec::new(),
            family: String::new(),
            data: Data::Gauge,
            temporality: CUMULATIVE,
            points: Vec::new(),
            count: 0,
            batch: 0,
            point: Vec::new(),
            time,
            start,
            differences: None,
            key: Vec::new(),
            push,
        }
    }

    /// Sends the increases of some series, depending on the temporality.
    pub(super) fn with_differences(
        self,
        differences: &'p mut Differences<OwnedPoint>,
        temporality: Temporality,
    ) -> Self {
        Self { differences: Some((differences, temporality)), ..self }
    }

    /// Returns the number of the current batch.
    pub(super) fn batch(&self) -> u64 {
        self.batch
    }

    pub(super) fn begin_batch(&mut self) {
        self.batch += 1;
    }

    /// Returns the approximate length of the batch, in bytes.
    pub(super) fn len(&self) -> usize {
        self.finished.len() + self.points.len()
    }

    /// Removes the batch. The current family continues in the next one.
    pub(super) fn take(&mut self) -> Batch {
        self.end_metric();
        Batch { metrics: std::mem::take(&mut self.finished), points: std::mem::take(&mut self.count) }
    }

    fn end_metric(&mut self) {
        let Self { finished, head, data, temporality, points, .. } = self;
        if points.is_empty() {
            return;
        }
        match data {
            Data::Gauge | Data::Summary => {}
            Data::Histogram | Data::ExponentialHistogram => push_uint(points, 2, *temporality),
            Data::Sum => {
                push_uint(points, 2, *temporality);
                push_uint(points, 3, 1);
            }
        }
        push_tag(finished, 2, 2);
        varint::push(finished, head.len() as u64 + field_len(points.len() as u64));
        finished.extend_from_slice(head);
        push_bytes(finished, *data as u8, points);
        points.clear();
    }

    /// Begins a data point of this type.
    fn begin_point(&mut self, data: Data, temporality: u64) {
        if (self.data, self.temporality) != (data, temporality) {
            self.end_metric();
            (self.data, self.temporality) = (data, temporality);
        }
        self.point.clear();
    }

    fn end_point(&mut self) {
        push_bytes(&mut self.points, 1, &self.point);
        self.count += 1;
    }

    fn number(&mut self, labels: Labels<'_>, start: Option<u64>, value: Number, exemplars: &[Exemplar<'_>]) {
        let Self { point, time, .. } = self;
        push_attributes(point, 7, labels);
        if let Some(start) = start {
            push_fixed64(point, 2, start);
        }
        push_fixed64(point, 3, *time);
        match value {
            Number::Whole(whole) if i64::try_from(whole).is_ok() => push_fixed64(point, 6, whole),
            value => push_double(point, 4, value.as_f64()),
        }
        push_exemplars(point, 5, exemplars);
    }

    fn summary(&mut self, labels: Labels<'_>, start: u64, (count, sum): (u64, f64), quantiles: &[(f64, f64)]) {
        let Self { point, time, .. } = self;
        push_fixed64(point, 2, start);
        push_fixed64(point, 3, *time);
        push_fixed64(point, 4, count);
        push_double(point, 5, sum);
        let mut quantile_value = Vec::new();
        let mut invalid = None;
        for (quantile, value) in quantiles {
            if !(0.0..=1.0).contains(quantile) || *value < 0.0 {
                invalid = Some(*quantile);
                continue;
            }
            quantile_value.clear();
            push_double(&mut quantile_value, 1, *quantile);
            push_double(&mut quantile_value, 2, *value);
            push_bytes(point, 6, &quantile_value);
        }
        push_attributes(point, 7, labels);
        if let Some(quantile) = invalid {
            self.skip(INVALID_QUANTILE, labels, &format!("quantile=\"{quantile}\""));
        }
    }

    fn histogram(
        &mut self,
        labels: Labels<'_>,
        start: u64,
        (count, sum): (u64, f64),
        buckets: &[(f64, u64)],
        exemplars: &[Exemplar<'_>],
    ) {
        let Self { point, time, .. } = self;
        push_fixed64(point, 2, start);
        push_fixed64(point, 3, *time);
        push_fixed64(point, 4, count);
        push_double(point, 5, sum);
        push_tag(point, 6, 2);
        varint::push(point, 8 * buckets.len() as u64);
        let mut last = 0;
        for (_, total) in buckets {
            point.extend_from_slice(&(total - last).to_le_bytes());
            last = *total;
        }
        // The last bucket has no bound.
        if let [bounds @ .., _] = buckets
            && !bounds.is_empty()
        {
            push_tag(point, 7, 2);
            varint::push(point, 8 * bounds.len() as u64);
            for (bound, _) in bounds {
                point.extend_from_slice(&bound.to_le_bytes());
            }
        }
        push_exemplars(point, 8, exemplars);
        push_attributes(point, 9, labels);
    }

    fn exponential(
        &mut self,
        labels: Labels<'_>,
        start: u64,
        (count, sum): (u64, f64),
        native: &NativeHistogram<'_>,
        exemplars: &[Exemplar<'_>],
    ) {
        let Self { point, time, .. } = self;
        push_attributes(point, 1, labels);
        push_fixed64(point, 2, start);
        push_fixed64(point, 3, *time);
        push_fixed64(point, 4, count);
        push_double(point, 5, sum);
        let halvings = exponential::halvings(native);
        push_sint(point, 6, i64::from(native.schema) - i64::from(halvings));
        push_fixed64(point, 7, native.zero_count);
        exponential::push_buckets(point, 8, native.positive, halvings);
        exponential::push_buckets(point, 9, native.negative, halvings);
        push_exemplars(point, 11, exemplars);
        push_double(point, 14, native.zero_threshold);
    }

    /// Returns the increase of a series, or `None` if the whole total is new. Records that the total is sent.
    fn increase(&mut self, labels: Labels<'_>, value: &Value<'_>, created: Option<SystemTime>) -> Option<OwnedPoint> {
        let Self { family, batch, time, differences, key, .. } = self;
        let (differences, _) = differences.as_mut()?;
        let total = OwnedPoint::new(value, *time)?;
        set_key(key, labels);
        let series = differences.series(family, key);
        let increase = series.increase(&total, created);
        series.send(total, created, *batch);
        increase
    }

    /// Skips a sample whose last label is `label`, which may be empty.
    fn skip(&self, reason: &'static str, labels: Labels<'_>, label: &str) {
        let pairs: Vec<&str> = labels.escaped().chain([label]).filter(|pairs| !pairs.is_empty()).collect();
        self.push.skip(reason, &format!("{}{{{}}}", self.family, pairs.join(",")));
    }
}

impl Visitor for Metrics<'_> {
    fn family(&mut self, family: &FamilyInfo<'_>) {
        self.end_metric();
        family.name.clone_into(&mut self.family);
        let head = &mut self.head;
        head.clear();
        push_bytes(head, 1, family.name.as_bytes());
        push_bytes(head, 2, family.help.as_bytes());
        if let Some(unit) = unit(family) {
            push_bytes(head, 3, unit.as_bytes());
        }
    }

    fn series(&mut self, labels: Labels<'_>, value: &Value<'_>) {
        self.series_with_details(labels, value, &SeriesDetails::default());
    }

    fn series_with_details(&mut self, labels: Labels<'_>, value: &Value<'_>, details: &SeriesDetails<'_>) {
        if !is_consistent(value) {
            self.skip(INCONSISTENT, labels, "");
            return;
        }
        let is_delta = self.differences.as_ref().is_some_and(|(_, temporality)| temporality.is_delta(value, details));
        let increase = if is_delta { self.increase(labels, value, details.created) } else { None };
        let (value, start) = match &increase {
            Some(increase) => (increase.value(), increase.time),
            None => (*value, details.created.map_or(self.start, nanoseconds)),
        };
        // A series may have been created after the push began.
        let start = start.min(self.time);
        self.begin_point(Data::of(&value), if is_delta { DELTA } else { CUMULATIVE });
        match value {
            Value::Counter(total) => self.number(labels, Some(start), total, details.exemplars),
            Value::Gauge(value) | Value::Untyped(value) => self.number(labels, None, Number::Float(value), &[]),
            Value::Summary { count, sum, quantiles } => self.summary(labels, start, (count, sum), quantiles),
            Value::Histogram { count, sum, native: Some(native), .. } => {
                self.exponential(labels, start, (count, sum), &native, details.exemplars);
            }
            Value::Histogram { count, sum, buckets, native: None } => {
                self.histogram(labels, start, (count, sum), buckets, details.exemplars);
            }
        }
        self.end_point();
    }
}

impl Data {
    fn of(value: &Value<'_>) -> Self {
        match value {
            Value::Counter(_) => Self::Sum,
            Value::Gauge(_) | Value::Untyped(_) => Self::Gauge,
            Value::Summary { .. } => Self::Summary,
            Value::Histogram { native: Some(_), .. } => Self::ExponentialHistogram,
            Value::Histogram { native: None, .. } => Self::Histogram,
        }
    }
}

/// Returns false if the bounds of classic buckets are not sorted or their counts contradict each other.
fn is_consistent(value: &Value<'_>) -> bool {
    let Value::Histogram { count, buckets, native: None, .. } = value else { return true };
    buckets.is_sorted_by(|(bound, count), (next, total)| bound < next && count <= total)
        && buckets.last().is_some_and(|(_, total)| total == count)
}

/// Replaces `key` with the labels, in an order that does not depend on a collector.
fn set_key(key: &mut Vec<u8>, labels: Labels<'_>) {
    let mut pairs: Vec<_> = labels.iter().collect();
    pairs.sort_unstable();
    key.clear();
    for (name, value) in pairs {
        for text in [name, &value] {
            key.extend_from_slice(text.as_bytes());
            // This byte does not occur in UTF-8.
            key.push(0xFF);
        }
    }
}

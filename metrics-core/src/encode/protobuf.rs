//! The delimited protobuf exposition: `io.prometheus.client.MetricFamily` messages, each preceded by its length.
//!
//! Because the length comes first, a family is buffered until it is complete. In a scrape, a family larger than 1 MiB
//! is split into several messages with the same name. Field numbers and type codes match Prometheus's `metrics.proto`.

use std::time::SystemTime;

use super::wire::{push_bytes, push_double, push_native_buckets, push_sint, push_tag, push_uint};
use super::{About, Encode, ends_in_unit};
use crate::cell::varint;
use crate::kind::Kind;
use crate::sample::{Exemplar, FamilyInfo, Labels, NativeHistogram, SeriesDetails, Value, Visitor};

pub(super) const ABOUT: About = About {
    name: "protobuf",
    content_type: "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
    encoder: |_| Box::<Encoder>::default(),
};

/// The size in bytes at which a message ends. Larger families are split to bound the buffer; Prometheus merges messages
/// with the same name.
const LARGEST_MESSAGE: usize = 1 << 20;

#[derive(Default)]
struct Encoder {
    out: Vec<u8>,
    /// True if families are not split.
    keeps_families_whole: bool,
    /// The encoded name, help, type and unit of the family. Each message of the family begins with them.
    head: Vec<u8>,
    /// The encoded series of the family that are not yet part of a message.
    series: Vec<u8>,
    /// The message of one series.
    metric: Vec<u8>,
    /// A message inside `metric`.
    value: Vec<u8>,
    /// A message inside `metric` or `value`.
    inner: Vec<u8>,
}

impl Encoder {
    fn end_message(&mut self) {
        if self.series.is_empty() {
            return;
        }
        varint::push(&mut self.out, (self.head.len() + self.series.len()) as u64);
        self.out.extend_from_slice(&self.head);
        self.out.append(&mut self.series);
    }
}

impl Encode for Encoder {
    fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    fn keep_families_whole(&mut self) {
        self.keeps_families_whole = true;
    }

    fn end(&mut self) {
        self.end_message();
    }
}

impl Visitor for Encoder {
    fn family(&mut self, family: &FamilyInfo<'_>) {
        self.end_message();
        let head = &mut self.head;
        head.clear();
        push_bytes(head, 1, family.name.as_bytes());
        push_bytes(head, 2, family.help.as_bytes());
        let kind = match family.kind {
            Kind::Counter => 0,
            Kind::Gauge | Kind::Info | Kind::StateSet => 1,
            Kind::Summary => 2,
            Kind::Untyped => 3,
            Kind::Histogram => 4,
        };
        push_uint(head, 3, kind);
        // Prometheus rejects the whole scrape if a unit does not end the name.
        let base = if family.kind == Kind::Counter { family.name.strip_suffix("_total") } else { None };
        if let Some(unit) = family.unit.filter(|unit| ends_in_unit(base.unwrap_or(family.name), unit)) {
            push_bytes(head, 5, unit.as_bytes());
        }
    }

    fn series(&mut self, labels: Labels<'_>, value: &Value<'_>) {
        self.series_with_details(labels, value, &SeriesDetails::default());
    }

    fn series_with_details(&mut self, labels: Labels<'_>, value: &Value<'_>, details: &SeriesDetails<'_>) {
        let Self { series, metric, value: message, inner, .. } = self;
        metric.clear();
        push_labels(metric, inner, labels);
        message.clear();
        let field = match *value {
            Value::Gauge(value) => {
                push_double(message, 1, value);
                2
            }
            Value::Counter(total) => {
                push_double(message, 1, total.as_f64());
                if let [exemplar, ..] = details.exemplars {
                    push_exemplar(inner, exemplar);
                    push_bytes(message, 2, inner);
                }
                push_created(message, inner, 3, details);
                3
            }
            Value::Summary { count, sum, quantiles } => {
                push_uint(message, 1, count);
                push_double(message, 2, sum);
                for (quantile, value) in quantiles {
                    inner.clear();
                    push_double(inner, 1, *quantile);
                    push_double(inner, 2, *value);
                    push_bytes(message, 3, inner);
                }
                push_created(message, inner, 4, details);
                4
            }
            Value::Untyped(value) => {
                push_double(message, 1, value);
                5
            }
            Value::Histogram { count, sum, buckets, native } => {
                push_uint(message, 1, count);
                push_double(message, 2, sum);
                let mut exemplars = details.exemplars.iter().peekable();
                for (at, (bound, count)) in buckets.iter().enumerate() {
                    match exemplars.next_if(|exemplar| exemplar.bucket == at) {
                        Some(exemplar) => push_exemplar(inner, exemplar),
                        None => inner.clear(),
                    }
                    push_bucket(message, *bound, *count, inner);
                }
                if let Some(native) = native {
                    push_native(message, inner, &native);
                    for exemplar in details.exemplars {
                        push_exemplar(inner, exemplar);
                        push_bytes(message, 16, inner);
                    }
                }
                push_created(message, inner, 15, details);
                7
            }
        };
        push_bytes(metric, field, message);
        push_bytes(series, 4, metric);
        if series.len() >= LARGEST_MESSAGE && !self.keeps_families_whole {
            self.end_message();
        }
    }
}

/// Appends labels as the repeated field 1.
fn push_labels(out: &mut Vec<u8>, inner: &mut Vec<u8>, labels: Labels<'_>) {
    for (name, value) in labels.iter() {
        inner.clear();
        push_bytes(inner, 1, name.as_bytes());
        push_bytes(inner, 2, value.as_bytes());
        push_bytes(out, 1, inner);
    }
}

/// Replaces the contents of `out` with an exemplar.
fn push_exemplar(out: &mut Vec<u8>, exemplar: &Exemplar<'_>) {
    let mut inner = Vec::new();
    out.clear();
    push_labels(out, &mut inner, exemplar.labels);
    push_double(out, 2, exemplar.value);
    inner.clear();
    push_timestamp(&mut inner, exemplar.timestamp);
    push_bytes(out, 3, &inner);
}

/// Appends the time at which the series was created, if it is known.
fn push_created(out: &mut Vec<u8>, inner: &mut Vec<u8>, field: u8, details: &SeriesDetails<'_>) {
    if let Some(created) = details.created {
        inner.clear();
        push_timestamp(inner, created);
        push_bytes(out, field, inner);
    }
}

/// Appends the fields of a timestamp. Times before 1970 become 1970.
fn push_timestamp(out: &mut Vec<u8>, time: SystemTime) {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    push_uint(out, 1, since.as_secs());
    push_uint(out, 2, since.subsec_nanos().into());
}

/// Appends a classic bucket, as the repeated field 3. The encoded exemplar may be empty.
fn push_bucket(out: &mut Vec<u8>, bound: f64, count: u64, exemplar: &[u8]) {
    /// The length of a field with a number of 8 bytes.
    const DOUBLE: u64 = 9;
    // The lengths are computed, so that no buffer is needed.
    let of_exemplar = match exemplar.len() as u64 {
        0 => 0,
        len => 1 + varint::len(len) + len,
    };
    push_tag(out, 3, 2);
    varint::push(out, 1 + varint::len(count) + DOUBLE + of_exemplar);
    push_uint(out, 1, count);
    push_double(out, 2, bound);
    if !exemplar.is_empty() {
        push_bytes(out, 3, exemplar);
    }
}

/// Appends the fields of a native histogram.
fn push_native(out: &mut Vec<u8>, inner: &mut Vec<u8>, native: &NativeHistogram<'_>) {
    push_sint(out, 5, i64::from(native.schema));
    push_double(out, 6, native.zero_threshold);
    push_uint(out, 7, native.zero_count);
    push_native_buckets(out, inner, native.negative, [9, 10]);
    push_native_buckets(out, inner, native.positive, [12, 13]);
    // Prometheus recognizes a native histogram by its zero threshold, zero count or spans. If all are zero or absent,
    // an empty span marks it as native.
    if native.zero_threshold == 0.0
        && native.zero_count == 0
        && native.positive.is_empty()
        && native.negative.is_empty()
    {
        push_bytes(out, 12, &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field's number, and its number or bytes.
    #[derive(Debug, PartialEq)]
    enum Field<'a> {
        Varint(u8, u64),
        Double(u8, f64),
        Bytes(u8, &'a [u8]),
    }

    fn sint(number: u64) -> i64 {
        (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
    }

    fn fields(mut bytes: &[u8]) -> Vec<Field<'_>> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let tag = varint::pop(&mut bytes);
            let number = u8::try_from(tag >> 3).expect("a small number");
            fields.push(match tag & 7 {
                0 => Field::Varint(number, varint::pop(&mut bytes)),
                1 => {
                    let (double, rest) = bytes.split_first_chunk().expect("8 bytes");
                    bytes = rest;
                    Field::Double(number, f64::from_le_bytes(*double))
                }
                2 => {
                    let len = usize::try_from(varint::pop(&mut bytes)).expect("a length");
                    let (content, rest) = bytes.split_at(len);
                    bytes = rest;
                    Field::Bytes(number, content)
                }
                other => panic!("wire type {other}"),
            });
        }
        fields
    }

    /// The spans in the field `spans`, and the deltas in the field after it.
    fn spans_and_deltas(fields: &[Field<'_>], spans: u8) -> (Vec<(i64, u64)>, Vec<i64>) {
        let (mut all, mut deltas) = (Vec::new(), Vec::new());
        for field in fields {
            match field {
                Field::Bytes(number, span) if *number == spans => {
                    let [Field::Varint(1, offset), Field::Varint(2, len)] = self::fields(span)[..] else {
                        panic!("a span")
                    };
                    all.push((sint(offset), len));
                }
                Field::Bytes(number, packed) if *number == spans + 1 => {
                    let mut packed = *packed;
                    while !packed.is_empty() {
                        deltas.push(sint(varint::pop(&mut packed)));
                    }
                }
                _ => {}
            }
        }
        (all, deltas)
    }

    #[test]
    fn native_buckets_are_spans_and_deltas() {
        let positive = [(-2, 3), (-1, 5), (2, 1), (4, 3), (5, 2)];
        let native =
            NativeHistogram { schema: 3, zero_threshold: 0.5, zero_count: 7, positive: &positive, negative: &[(1, 4)] };
        let mut out = Vec::new();
        push_native(&mut out, &mut Vec::new(), &native);
        let fields = fields(&out);
        assert_eq!(fields[..3], [Field::Varint(5, 6), Field::Double(6, 0.5), Field::Varint(7, 7)]);
        let expected = (vec![(-2, 2), (2, 1), (1, 2)], vec![3, 2, -4, 2, -1]);
        assert_eq!(spans_and_deltas(&fields, 12), expected);
        assert_eq!(spans_and_deltas(&fields, 9), (vec![(1, 1)], vec![4]));
    }

    #[test]
    fn lengths_are_those_of_the_bytes() {
        for number in (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit]).chain([u64::MAX]) {
            let mut bytes = Vec::new();
            varint::push(&mut bytes, number);
            assert_eq!(varint::len(number), bytes.len() as u64, "{number}");
        }
    }

    #[test]
    fn exemplars_belong_to_buckets_and_to_native_histograms() {
        let labels = Labels::of(&[("trace_id", "\"a\"")]);
        let timestamp = SystemTime::UNIX_EPOCH + std::time::Duration::new(7, 8);
        let exemplar = Exemplar { bucket: 1, labels: labels.borrow(), value: 0.5, timestamp };
        let details = SeriesDetails { exemplars: &[exemplar], created: Some(timestamp) };
        let native = NativeHistogram { schema: 0, zero_threshold: 0.0, zero_count: 0, positive: &[], negative: &[] };
        let buckets = [(0.25, 0), (f64::INFINITY, 1)];
        let mut encoder = Encoder::default();
        let histogram = Value::Histogram { count: 1, sum: 0.5, buckets: &buckets, native: Some(native) };
        encoder.series_with_details(Labels::default(), &histogram, &details);
        encoder.series_with_details(Labels::default(), &Value::Counter(crate::Number::Whole(1)), &details);
        let of_metric = fields(&encoder.series);
        let [Field::Bytes(4, histogram), Field::Bytes(4, counter)] = of_metric[..] else { panic!("{of_metric:?}") };
        let [Field::Bytes(7, histogram)] = fields(histogram)[..] else { panic!("a histogram") };
        let [Field::Bytes(3, counter)] = fields(counter)[..] else { panic!("a counter") };
        let is_exemplar = |bytes: &[u8]| {
            let [Field::Bytes(1, pair), Field::Double(2, value), Field::Bytes(3, time)] = fields(bytes)[..] else {
                panic!("an exemplar")
            };
            assert_eq!(fields(pair), [Field::Bytes(1, b"trace_id"), Field::Bytes(2, b"\"a\"")]);
            assert_eq!((value, fields(time)), (0.5, vec![Field::Varint(1, 7), Field::Varint(2, 8)]));
        };
        let of_histogram = fields(histogram);
        let exemplars: Vec<(u8, Vec<Field<'_>>)> = of_histogram
            .iter()
            .filter_map(|field| match field {
                Field::Bytes(3, bucket) => Some((3, fields(bucket))),
                Field::Bytes(16, exemplar) => Some((16, vec![Field::Bytes(3, exemplar)])),
                _ => None,
            })
            .collect();
        assert_eq!(exemplars.iter().map(|(field, _)| *field).collect::<Vec<_>>(), [3, 3, 16]);
        let is_created = |field: Option<&Field<'_>>, number: u8| {
            let Some(Field::Bytes(found, time)) = field else { panic!("{field:?}") };
            assert_eq!((*found, fields(time)), (number, vec![Field::Varint(1, 7), Field::Varint(2, 8)]));
        };
        is_created(of_histogram.last(), 15);
        is_created(fields(counter).last(), 3);
        assert_eq!(exemplars[0].1.len(), 2, "the first bucket has no exemplar");
        for (_, fields) in &exemplars[1..] {
            let Some(Field::Bytes(3, exemplar)) = fields.last() else { panic!("{fields:?}") };
            is_exemplar(exemplar);
        }
        let Field::Bytes(2, exemplar) = fields(counter)[1] else { panic!("an exemplar") };
        is_exemplar(exemplar);
    }

    #[test]
    fn an_empty_native_histogram_is_recognized_as_such() {
        let native = NativeHistogram { schema: -4, zero_threshold: 0.0, zero_count: 0, positive: &[], negative: &[] };
        let mut out = Vec::new();
        push_native(&mut out, &mut Vec::new(), &native);
        assert_eq!(sint(7), -4);
        assert_eq!(
            fields(&out),
            [Field::Varint(5, 7), Field::Double(6, 0.0), Field::Varint(7, 0), Field::Bytes(12, &[])]
        );
    }
}

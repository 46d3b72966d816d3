//! The delimited protobuf exposition: `io.prometheus.client.MetricFamily` messages, each preceded by its length.
//!
//! Because the length comes first, a family is buffered until it is complete. A family larger than 1 MiB is split into
//! several messages with the same name. Field numbers and type codes match Prometheus's `metrics.proto`.

use super::{About, Encode};
use crate::kind::Kind;
use crate::sample::{FamilyInfo, Labels, Value, Visitor};

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
        push_varint(&mut self.out, (self.head.len() + self.series.len()) as u64);
        self.out.extend_from_slice(&self.head);
        self.out.append(&mut self.series);
    }
}

impl Encode for Encoder {
    fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
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
            Kind::Gauge => 1,
            Kind::Summary => 2,
            Kind::Untyped => 3,
            Kind::Histogram => 4,
        };
        push_uint(head, 3, kind);
        if let Some(unit) = family.unit {
            push_bytes(head, 5, unit.as_bytes());
        }
    }

    fn series(&mut self, labels: Labels<'_>, value: &Value<'_>) {
        let Self { series, metric, value: message, inner, .. } = self;
        metric.clear();
        for (name, value) in labels.iter() {
            inner.clear();
            push_bytes(inner, 1, name.as_bytes());
            push_bytes(inner, 2, value.as_bytes());
            push_bytes(metric, 1, inner);
        }
        message.clear();
        let field = match *value {
            Value::Gauge(value) => {
                push_double(message, 1, value);
                2
            }
            Value::Counter(total) => {
                push_double(message, 1, total.as_f64());
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
                4
            }
            Value::Untyped(value) => {
                push_double(message, 1, value);
                5
            }
            Value::Histogram { count, sum, buckets } => {
                push_uint(message, 1, count);
                push_double(message, 2, sum);
                for (bound, count) in buckets {
                    inner.clear();
                    push_uint(inner, 1, *count);
                    push_double(inner, 2, *bound);
                    push_bytes(message, 3, inner);
                }
                7
            }
        };
        push_bytes(metric, field, message);
        push_bytes(series, 4, metric);
        if series.len() >= LARGEST_MESSAGE {
            self.end_message();
        }
    }
}

/// Appends a field of type string, bytes or message.
fn push_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    push_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn push_double(out: &mut Vec<u8>, field: u8, value: f64) {
    out.push(field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a field of an unsigned integer or enum type.
fn push_uint(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3);
    push_varint(out, value);
}

#[expect(clippy::cast_possible_truncation, reason = "takes seven bits at a time")]
fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

//! The fields of protobuf messages, as bytes.

use crate::cell::varint;

/// Appends a field of a signed integer type.
pub(crate) fn push_sint(out: &mut Vec<u8>, field: u8, value: i64) {
    push_uint(out, field, zigzag(value));
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

/// Appends the number and the wire type of a field.
pub(crate) fn push_tag(out: &mut Vec<u8>, field: u8, wire_type: u8) {
    varint::push(out, u64::from(field) << 3 | u64::from(wire_type));
}

/// Appends a field of type string, bytes or message.
pub(crate) fn push_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    push_tag(out, field, 2);
    varint::push(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn push_double(out: &mut Vec<u8>, field: u8, value: f64) {
    push_tag(out, field, 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a field of type fixed64 or sfixed64.
#[cfg(feature = "otlp")]
pub(crate) fn push_fixed64(out: &mut Vec<u8>, field: u8, value: u64) {
    push_tag(out, field, 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a field of an unsigned integer or enum type.
pub(crate) fn push_uint(out: &mut Vec<u8>, field: u8, value: u64) {
    push_tag(out, field, 0);
    varint::push(out, value);
}

/// Appends the buckets of a native histogram in Prometheus's form: the spans of consecutive buckets, and the differences
/// between the counts of neighboring buckets.
#[allow(dead_code, reason = "OTLP has another form")]
pub(crate) fn push_native_buckets(
    out: &mut Vec<u8>,
    inner: &mut Vec<u8>,
    buckets: &[(i32, u64)],
    [spans, deltas]: [u8; 2],
) {
    let mut end = 0;
    let mut rest = buckets;
    while let Some((first, _)) = rest.first() {
        let len = rest.iter().zip(*first..).take_while(|((index, _), next)| index == next).count();
        inner.clear();
        push_sint(inner, 1, i64::from(*first) - end);
        push_uint(inner, 2, len as u64);
        push_bytes(out, spans, inner);
        let (span, following) = rest.split_at(len);
        end = span.last().map_or(end, |(last, _)| i64::from(*last) + 1);
        rest = following;
    }
    inner.clear();
    inner.reserve(2 * buckets.len());
    let mut last = 0;
    for (_, count) in buckets {
        varint::push(inner, zigzag(count.wrapping_sub(last).cast_signed()));
        last = *count;
    }
    if !inner.is_empty() {
        push_bytes(out, deltas, inner);
    }
}

//! The fields of protobuf messages, as bytes.

use crate::cell::varint;

/// Appends a field of a signed integer type.
pub(super) fn push_sint(out: &mut Vec<u8>, field: u8, value: i64) {
    push_uint(out, field, zigzag(value));
}

pub(super) fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

/// Appends the number and the wire type of a field.
pub(super) fn push_tag(out: &mut Vec<u8>, field: u8, wire_type: u8) {
    varint::push(out, u64::from(field) << 3 | u64::from(wire_type));
}

/// Appends a field of type string, bytes or message.
pub(super) fn push_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    push_tag(out, field, 2);
    varint::push(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(super) fn push_double(out: &mut Vec<u8>, field: u8, value: f64) {
    push_tag(out, field, 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a field of an unsigned integer or enum type.
pub(super) fn push_uint(out: &mut Vec<u8>, field: u8, value: u64) {
    push_tag(out, field, 0);
    varint::push(out, value);
}

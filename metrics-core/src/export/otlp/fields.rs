//! The fields of metrics and data points: times, units, attributes and exemplars.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::cell::varint;
use crate::encode::wire::{push_bytes, push_double, push_fixed64, push_tag};
use crate::sample::{Exemplar, FamilyInfo, Labels};

/// The units that receivers translate into the suffix of a name, and their codes in UCUM.
const UNITS: [(&str, &str); 12] = [
    ("amperes", "A"),
    ("bytes", "By"),
    ("celsius", "Cel"),
    ("grams", "g"),
    ("hertz", "Hz"),
    ("joules", "J"),
    ("meters", "m"),
    ("percent", "%"),
    ("ratio", "1"),
    ("seconds", "s"),
    ("volts", "V"),
    ("watts", "W"),
];

/// Returns the nanoseconds since 1970.
pub(super) fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns the family's unit as a UCUM code. A unit without a code in [`UNITS`] is written in braces; otherwise,
/// receivers would append it to the name.
///
/// Without a declared unit, the end of the name determines the unit.
pub(super) fn unit(family: &FamilyInfo<'_>) -> Option<Cow<'static, str>> {
    let code = |word: &str| UNITS.iter().find(|(name, _)| *name == word).map(|(_, code)| Cow::Borrowed(*code));
    match family.unit.filter(|unit| !unit.is_empty()) {
        Some(unit) => Some(code(unit).unwrap_or_else(|| format!("{{{unit}}}").into())),
        None => code(family.name.strip_suffix("_total").unwrap_or(family.name).rsplit('_').next()?),
    }
}

/// Returns the length of a field of type string, bytes or message with this content, if its number is below 16.
pub(super) fn field_len(content: u64) -> u64 {
    1 + varint::len(content) + content
}

pub(super) fn push_attributes(out: &mut Vec<u8>, field: u8, labels: Labels<'_>) {
    for (name, value) in labels.iter() {
        push_attribute(out, field, name, &value);
    }
}

/// Appends an attribute, a field of type `KeyValue`.
pub(super) fn push_attribute(out: &mut Vec<u8>, field: u8, key: &str, value: &str) {
    let any_value = field_len(value.len() as u64);
    push_tag(out, field, 2);
    varint::push(out, field_len(key.len() as u64) + field_len(any_value));
    push_bytes(out, 1, key.as_bytes());
    push_tag(out, 2, 2);
    varint::push(out, any_value);
    push_bytes(out, 1, value.as_bytes());
}

pub(super) fn push_exemplars(out: &mut Vec<u8>, field: u8, exemplars: &[Exemplar<'_>]) {
    let mut message = Vec::new();
    for exemplar in exemplars {
        message.clear();
        push_fixed64(&mut message, 2, nanoseconds(exemplar.timestamp));
        push_double(&mut message, 3, exemplar.value);
        for (name, value) in exemplar.labels.iter() {
            match (name, id::<16>(&value), id::<8>(&value)) {
                ("trace_id", Some(trace), _) => push_bytes(&mut message, 5, &trace),
                ("span_id", _, Some(span)) => push_bytes(&mut message, 4, &span),
                _ => push_attribute(&mut message, 7, name, &value),
            }
        }
        push_bytes(out, field, &message);
    }
}

/// Returns the bytes of a trace or span ID, or `None` if the text is not a valid ID of this length.
fn id<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    if text.len() != 2 * BYTES || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let number = u128::from_str_radix(text, 16).ok().filter(|number| *number != 0)?;
    number.to_be_bytes().last_chunk().copied()
}

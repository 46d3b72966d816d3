//! The snapshot of a live page, as JSON.
//!
//! The output is a list of members without the surrounding braces: `"families":[..],"groups":[..],"skipped":0`.
//! Numbers that JSON cannot represent become `null`.

use std::collections::BTreeSet;

use super::Encode;
use super::number::{push_float, push_number, push_whole};
use crate::kind::Kind;
use crate::registry::groups::{Group, groups};
use crate::sample::{FamilyInfo, Labels, Value, Visitor};

/// The maximum size of all series, in bytes. Further series are skipped.
const MAX_LEN: usize = 4 << 20;

pub(super) struct Encoder {
    out: Vec<u8>,
    /// The names of the families so far.
    names: BTreeSet<String>,
    /// True if the current family has series.
    has_series: bool,
    /// The number of bytes of all series so far. The caller may have taken some of them from the buffer.
    written: usize,
    skipped: u64,
    /// True if the current family is one of the library's own, which are never skipped.
    is_own: bool,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self {
            out: b"\"families\":[".to_vec(),
            names: BTreeSet::new(),
            has_series: false,
            written: 0,
            skipped: 0,
            is_own: false,
        }
    }

    /// Ends the list of series and the family, if one has begun.
    fn end_family(&mut self) {
        if !self.names.is_empty() {
            self.out.extend_from_slice(b"]}");
        }
    }

    fn push_labels(&mut self, labels: Labels<'_>) {
        self.out.extend_from_slice(b"{\"labels\":{");
        for (at, pairs) in labels.escaped().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            push_labels(&mut self.out, pairs);
        }
        self.out.push(b'}');
    }
}

impl Encode for Encoder {
    fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    fn end(&mut self) {
        self.end_family();
        let Self { out, names, skipped, .. } = self;
        out.extend_from_slice(b"],\"groups\":[");
        let names = names.iter().map(String::as_str).collect();
        for (at, group) in groups(&names).iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            push_group(out, group);
        }
        out.extend_from_slice(b"],\"skipped\":");
        push_whole(out, *skipped);
    }
}

impl Visitor for Encoder {
    fn family(&mut self, family: &FamilyInfo<'_>) {
        self.end_family();
        if !self.names.is_empty() {
            self.out.push(b',');
        }
        self.names.insert(family.name.to_owned());
        self.has_series = false;
        self.is_own = family.name.starts_with("metrics_core_");
        let kind = match family.kind {
            Kind::Info => "info",
            Kind::StateSet => "stateset",
            Kind::Untyped => "unknown",
            kind => kind.as_str(),
        };
        let out = &mut self.out;
        out.push(b'{');
        push_member(out, "name", family.name);
        for (name, value) in
            [("type", kind), ("help", family.help)].into_iter().chain(family.unit.map(|unit| ("unit", unit)))
        {
            out.push(b',');
            push_member(out, name, value);
        }
        out.extend_from_slice(b",\"series\":[");
    }

    fn series(&mut self, labels: Labels<'_>, value: &Value<'_>) {
        if self.written >= MAX_LEN && !self.is_own {
            self.skipped += 1;
            return;
        }
        if self.has_series {
            self.out.push(b',');
        }
        self.has_series = true;
        let begin = self.out.len();
        self.push_labels(labels);
        let out = &mut self.out;
        match *value {
            Value::Counter(total) if total.as_f64().is_finite() => {
                out.extend_from_slice(b",\"value\":");
                push_number(out, total);
            }
            Value::Counter(total) => push_value(out, total.as_f64()),
            Value::Gauge(value) | Value::Untyped(value) => push_value(out, value),
            Value::Summary { count, sum, quantiles } => {
                push_count(out, count, sum);
                push_pairs(out, "quantiles", quantiles, |out, value| push_json_float(out, *value));
            }
            Value::Histogram { count, sum, buckets, .. } => {
                push_count(out, count, sum);
                push_pairs(out, "buckets", buckets, |out, count| push_whole(out, *count));
            }
        }
        out.push(b'}');
        self.written += self.out.len() - begin;
    }
}

fn push_group(out: &mut Vec<u8>, group: &Group<'_>) {
    let Group { prefix, work, latency, exceptions, cancelled, in_flight, responses } = *group;
    out.push(b'{');
    push_member(out, "prefix", prefix);
    let optional =
        [("exceptions", exceptions), ("cancelled", cancelled), ("in_flight", in_flight), ("responses", responses)];
    let optional = optional.into_iter().filter_map(|(name, value)| Some((name, value?)));
    for (name, value) in [("work", work), ("latency", latency)].into_iter().chain(optional) {
        out.push(b',');
        push_member(out, name, value);
    }
    out.push(b'}');
}

fn push_count(out: &mut Vec<u8>, count: u64, sum: f64) {
    out.extend_from_slice(b",\"count\":");
    push_whole(out, count);
    out.extend_from_slice(b",\"sum\":");
    push_json_float(out, sum);
}

fn push_value(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(b",\"value\":");
    push_json_float(out, value);
}

fn push_pairs<T>(out: &mut Vec<u8>, name: &str, pairs: &[(f64, T)], push: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b',');
    push_string(out, name);
    out.extend_from_slice(b":[");
    for (at, (first, second)) in pairs.iter().enumerate() {
        out.extend_from_slice(if at > 0 { b",[" } else { b"[" });
        push_json_float(out, *first);
        out.push(b',');
        push(out, second);
        out.push(b']');
    }
    out.push(b']');
}

/// Appends a member of an object whose value is a string.
pub(crate) fn push_member(out: &mut Vec<u8>, name: &str, value: &str) {
    push_string(out, name);
    out.push(b':');
    push_string(out, value);
}

/// Appends labels such as `a="b",c="d"` as members. The escape sequences of values are the same in JSON.
fn push_labels(out: &mut Vec<u8>, pairs: &str) {
    let mut rest = pairs;
    loop {
        let name = length_until(rest, b'=');
        out.push(b'"');
        out.extend_from_slice(&rest.as_bytes()[..name]);
        out.extend_from_slice(b"\":\"");
        rest = rest.get(name + 2..).unwrap_or_default();
        let mut value = length_until(rest, b'"');
        // A quote after a backslash does not end the value, unless the backslash is itself escaped.
        while value < rest.len() && rest[..value].bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1 {
            value += 1 + length_until(&rest[value + 1..], b'"');
        }
        push_text(out, &rest[..value]);
        out.push(b'"');
        rest = rest.get(value + 1..).unwrap_or_default();
        let Some(next) = rest.strip_prefix(',') else { return };
        out.push(b',');
        rest = next;
    }
}

/// Returns the number of bytes before the first `end`.
fn length_until(text: &str, end: u8) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() && bytes[at] != end {
        at += 1;
    }
    at
}

/// Appends a number, or `null` if it is not finite.
pub(crate) fn push_json_float(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() { push_float(out, value) } else { out.extend_from_slice(b"null") }
}

/// Appends a string in quotes.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text;
    while let Some((at, special)) = rest.char_indices().find(|(_, c)| matches!(c, '"' | '\\' | '\n')) {
        push_text(out, &rest[..at]);
        out.extend_from_slice(match special {
            '"' => b"\\\"",
            '\\' => b"\\\\",
            _ => b"\\n",
        });
        rest = &rest[at + 1..];
    }
    push_text(out, rest);
    out.push(b'"');
}

/// Appends text in which quotes, backslashes and line feeds are already escaped. Label values are escaped like this.
fn push_text(out: &mut Vec<u8>, text: &str) {
    // The compiler vectorizes a minimum, but not a search.
    if text.bytes().fold(u8::MAX, u8::min) >= 0x20 {
        return out.extend_from_slice(text.as_bytes());
    }
    for byte in text.bytes() {
        if byte < 0x20 {
            out.extend_from_slice(b"\\u00");
            out.extend([byte >> 4, byte & 0xF].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
        } else {
            out.push(byte);
        }
    }
}

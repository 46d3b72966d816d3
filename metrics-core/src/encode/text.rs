//! The Prometheus text format, version 0.0.4.

use super::number::{push_float, push_number, push_whole};
use crate::sample::{FamilyInfo, Labels, Value, Visitor};

/// Writes what it visits to a buffer.
pub(super) struct Encoder<'o> {
    out: &'o mut Vec<u8>,
    name: String,
}

impl<'o> Encoder<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, name: String::new() }
    }

    /// Writes name and labels of a sample, up to its value.
    #[inline]
    fn sample(&mut self, suffix: &str, labels: Labels<'_>, extra: Option<(&str, f64)>) {
        let Self { out, name } = self;
        out.extend_from_slice(name.as_bytes());
        if !suffix.is_empty() {
            out.extend_from_slice(suffix.as_bytes());
        }
        if labels.is_empty() && extra.is_none() {
            out.push(b' ');
            return;
        }
        out.push(b'{');
        for pairs in labels.escaped() {
            out.extend_from_slice(pairs.as_bytes());
            out.push(b',');
        }
        if let Some((name, value)) = extra {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"=\"");
            push_float(out, value);
            out.extend_from_slice(b"\",");
        }
        // In place of the last comma.
        out.pop();
        out.extend_from_slice(b"} ");
    }

    fn float(&mut self, suffix: &str, labels: Labels<'_>, extra: Option<(&str, f64)>, value: f64) {
        self.sample(suffix, labels, extra);
        push_float(self.out, value);
        self.out.push(b'\n');
    }

    fn whole(&mut self, suffix: &str, labels: Labels<'_>, extra: Option<(&str, f64)>, value: u64) {
        self.sample(suffix, labels, extra);
        push_whole(self.out, value);
        self.out.push(b'\n');
    }
}

impl Visitor for Encoder<'_> {
    fn family(&mut self, family: &FamilyInfo<'_>) {
        self.name.clear();
        self.name.push_str(family.name);
        if !family.help.is_empty() {
            self.out.extend_from_slice(b"# HELP ");
            self.out.extend_from_slice(family.name.as_bytes());
            self.out.push(b' ');
            push_help(self.out, family.help);
            self.out.push(b'\n');
        }
        for part in ["# TYPE ", family.name, " ", family.kind.as_str(), "\n"] {
            self.out.extend_from_slice(part.as_bytes());
        }
    }

    fn series(&mut self, labels: Labels<'_>, value: &Value<'_>) {
        match *value {
            Value::Counter(total) => {
                self.sample("", labels, None);
                push_number(self.out, total);
                self.out.push(b'\n');
            }
            Value::Gauge(value) | Value::Untyped(value) => self.float("", labels, None, value),
            Value::Summary { count, sum, quantiles } => {
                for (quantile, value) in quantiles {
                    self.float("", labels, Some(("quantile", *quantile)), *value);
                }
                self.float("_sum", labels, None, sum);
                self.whole("_count", labels, None, count);
            }
            Value::Histogram { count, sum, buckets } => {
                for (bound, count) in buckets {
                    self.whole("_bucket", labels, Some(("le", *bound)), *count);
                }
                self.float("_sum", labels, None, sum);
                self.whole("_count", labels, None, count);
            }
        }
    }
}

/// Appends a help text; a backslash and a line's end would spoil the line.
fn push_help(out: &mut Vec<u8>, help: &str) {
    for byte in help.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            _ => out.push(byte),
        }
    }
}

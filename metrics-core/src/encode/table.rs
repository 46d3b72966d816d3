//! The rows of an HTML table with the current values, for browsers without JavaScript.

use super::Encode;
use super::number::{push_float, push_number, push_whole};
use crate::sample::{FamilyInfo, Labels, Value, Visitor};

/// The maximum size of the rows, in bytes. Further series are skipped.
const MAX_LEN: usize = 1 << 20;

pub(super) struct Encoder {
    out: Vec<u8>,
    name: String,
    /// The number of bytes so far. The caller may have taken some of them from the buffer.
    written: usize,
    skipped: u64,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self { out: Vec::new(), name: String::new(), written: 0, skipped: 0 }
    }

    fn row(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<(&str, f64)>, push: impl Fn(&mut Vec<u8>)) {
        let Self { out, name, written, .. } = self;
        let begin = out.len();
        out.extend_from_slice(b"<tr><th scope=\"row\">");
        push_text(out, name);
        push_text(out, suffix);
        out.extend_from_slice(b"</th><td>");
        let mut is_first = true;
        let mut label = |out: &mut Vec<u8>, name: &str, value: &dyn Fn(&mut Vec<u8>)| {
            out.extend_from_slice(if is_first { b"" } else { b", " });
            is_first = false;
            push_text(out, name);
            out.push(b'=');
            value(out);
        };
        for (name, value) in labels.iter() {
            label(out, name, &|out| push_text(out, &value));
        }
        if let Some((name, value)) = bound {
            label(out, name, &|out| push_float(out, value));
        }
        out.extend_from_slice(b"</td><td>");
        push(out);
        out.extend_from_slice(b"</td></tr>\n");
        *written += out.len() - begin;
    }
}

impl Encode for Encoder {
    fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    fn end(&mut self) {
        if self.skipped > 0 {
            let skipped = self.skipped;
            self.name.clear();
            self.row("Skipped series", Labels::default(), None, |out| push_whole(out, skipped));
        }
    }
}

impl Visitor for Encoder {
    fn family(&mut self, family: &FamilyInfo<'_>) {
        self.name.clear();
        self.name.push_str(family.name);
    }

    fn series(&mut self, labels: Labels<'_>, value: &Value<'_>) {
        if self.written >= MAX_LEN && !self.name.starts_with("metrics_core_") {
            self.skipped += 1;
            return;
        }
        let (count, sum) = match *value {
            Value::Counter(total) => return self.row("", labels, None, |out| push_number(out, total)),
            Value::Gauge(value) | Value::Untyped(value) => {
                return self.row("", labels, None, |out| push_float(out, value));
            }
            Value::Summary { count, sum, quantiles } => {
                for (quantile, value) in quantiles {
                    self.row("", labels, Some(("quantile", *quantile)), |out| push_float(out, *value));
                }
                (count, sum)
            }
            Value::Histogram { count, sum, .. } => (count, sum),
        };
        self.row("_count", labels, None, |out| push_whole(out, count));
        self.row("_sum", labels, None, |out| push_float(out, sum));
    }
}

/// Appends text, escaped for HTML.
fn push_text(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            _ => out.push(byte),
        }
    }
}

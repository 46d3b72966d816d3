//! Sample lines (a name, labels and a number), shared by the two text formats.

use std::time::SystemTime;

use super::number::{SHORT, push_float, push_number, push_short, push_timestamp, push_whole};
use crate::sample::{Exemplar, Labels, Number};

/// A buffer of sample lines.
pub(super) struct Lines {
    pub(super) out: Vec<u8>,
    /// The family's name, without sample suffixes.
    name: String,
    /// The name of the family's main sample, an opening brace, and zeros at the end.
    opening: Vec<[u8; 32]>,
    /// The length of the main sample's name.
    main_len: usize,
    /// Writes a bucket bound or a quantile.
    push_bound: fn(&mut Vec<u8>, f64),
    /// The bits and the text of the last bound written at each position. Consecutive series usually have the same
    /// bounds.
    bounds: Vec<(u64, Vec<u8>)>,
}

/// The `le` or `quantile` label of a sample: its name, its value and its position among the series' bounds.
pub(super) type Bound = (&'static str, f64, usize);

impl Lines {
    pub(super) fn new(push_bound: fn(&mut Vec<u8>, f64)) -> Self {
        let (out, name, opening, bounds) = (Vec::new(), String::new(), Vec::new(), Vec::new());
        Self { out, name, opening, main_len: 0, push_bound, bounds }
    }

    /// Sets the family for the samples that follow, and the name of those without a suffix.
    pub(super) fn begin(&mut self, name: &str, main: &str) {
        self.name.clear();
        self.name.push_str(name);
        let mut opening = [main.as_bytes(), b"{"].concat();
        opening.resize(opening.len().next_multiple_of(32), 0);
        self.opening.clear();
        self.opening.extend_from_slice(opening.as_chunks().0);
        self.main_len = main.len();
    }

    /// Writes the parts verbatim.
    pub(super) fn push(&mut self, parts: &[&str]) {
        for part in parts {
            self.out.extend_from_slice(part.as_bytes());
        }
    }

    /// Writes the escaped `# HELP` line, unless the help text is empty.
    pub(super) fn help(&mut self, help: &str, escapes_quotes: bool) {
        if help.is_empty() {
            return;
        }
        let Self { out, name, .. } = self;
        out.extend_from_slice(b"# HELP ");
        out.extend_from_slice(name.as_bytes());
        out.push(b' ');
        for byte in help.bytes() {
            match byte {
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'"' if escapes_quotes => out.extend_from_slice(b"\\\""),
                _ => out.push(byte),
            }
        }
        out.push(b'\n');
    }

    #[inline]
    pub(super) fn number(&mut self, labels: Labels<'_>, value: Number) {
        match value {
            Number::Whole(whole) if !labels.is_empty() && whole < SHORT => {
                self.sample_to_labels("", labels, None);
                push_short(&mut self.out, *b"} ", whole, b'\n');
            }
            _ => self.any_number(labels, value),
        }
    }

    /// Like [`Lines::number`], for any value. Not inlined, to keep the loop over counters small.
    #[inline(never)]
    fn any_number(&mut self, labels: Labels<'_>, value: Number) {
        self.sample("", labels, None);
        push_number(&mut self.out, value);
        self.out.push(b'\n');
    }

    pub(super) fn float(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<Bound>, value: f64) {
        self.sample(suffix, labels, bound);
        push_float(&mut self.out, value);
        self.out.push(b'\n');
    }

    pub(super) fn whole(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<Bound>, value: u64) {
        self.sample(suffix, labels, bound);
        push_whole(&mut self.out, value);
        self.out.push(b'\n');
    }

    /// Writes the `_created` sample of a series, if its creation time is given.
    pub(super) fn created(&mut self, labels: Labels<'_>, created: Option<SystemTime>) {
        if let Some(created) = created {
            self.sample("_created", labels, None);
            push_timestamp(&mut self.out, created);
            self.out.push(b'\n');
        }
    }

    /// Appends an exemplar to the last sample line.
    pub(super) fn exemplar(&mut self, exemplar: &Exemplar<'_>) {
        let Self { out, .. } = self;
        // The exemplar is part of the line.
        out.pop();
        out.extend_from_slice(b" # {");
        for (at, pairs) in exemplar.labels.escaped().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(pairs.as_bytes());
        }
        out.extend_from_slice(b"} ");
        push_float(out, exemplar.value);
        out.push(b' ');
        push_timestamp(out, exemplar.timestamp);
        out.push(b'\n');
    }

    /// Writes the part of a sample line before the value: the name and the labels.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that the checks of the suffix and the bound are compiled away")]
    fn sample(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<Bound>) {
        if labels.is_empty() && bound.is_none() {
            self.sample_name(suffix, false);
            self.out.push(b' ');
        } else {
            self.sample_to_labels(suffix, labels, bound);
            self.out.extend_from_slice(b"} ");
        }
    }

    /// Writes the part of a sample line before the closing brace; there must be labels or a bound.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as for `sample`")]
    fn sample_to_labels(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<Bound>) {
        let [constant, own] = labels.parts();
        self.sample_name(suffix, true);
        let Self { out, push_bound, bounds, .. } = self;
        if !constant.is_empty() {
            out.extend_from_slice(constant.as_bytes());
            if !own.is_empty() || bound.is_some() {
                out.push(b',');
            }
        }
        out.extend_from_slice(own.as_bytes());
        if let Some((name, value, at)) = bound {
            if !own.is_empty() {
                out.push(b',');
            }
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"=\"");
            out.extend_from_slice(bound_text(bounds, *push_bound, value, at));
            out.push(b'"');
        }
    }

    /// Writes the name of a sample, and an opening brace if it has labels.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as for `sample`")]
    fn sample_name(&mut self, suffix: &str, is_labeled: bool) {
        let Self { out, name, opening, main_len, .. } = self;
        if suffix.is_empty() {
            // Parts of a fixed length are copied without a function call.
            let end = out.len() + *main_len + usize::from(is_labeled);
            for part in &*opening {
                out.extend_from_slice(part);
            }
            out.truncate(end);
        } else {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(suffix.as_bytes());
            if is_labeled {
                out.push(b'{');
            }
        }
    }
}

fn bound_text(bounds: &mut Vec<(u64, Vec<u8>)>, push: fn(&mut Vec<u8>, f64), value: f64, at: usize) -> &[u8] {
    if bounds.len() <= at {
        bounds.resize(at + 1, (0, Vec::new()));
    }
    let (bits, text) = &mut bounds[at];
    if *bits != value.to_bits() || text.is_empty() {
        *bits = value.to_bits();
        text.clear();
        push(text, value);
    }
    text
}

//! Lines of Graphite's plaintext protocol: `name value seconds`.
//!
//! Replacing invalid characters can give two series the same name. The series would overwrite each other, in an order
//! that may change between pushes, so only the first one is sent. The others are detected with a set of name hashes,
//! which is kept for one push.
//!
//! In a tagged name, a tag with an empty value is omitted.

use std::hash::BuildHasher;

use hashbrown::HashSet;

use super::super::push::PushContext;
use super::super::push::path::{Pair, pairs, push_labels, push_valid};
use crate::encode::number::push_float;
use crate::sample::{FamilyInfo, Labels, Number, Value, Visitor};

/// The maximum length of a part between dots, in bytes. Carbon uses the part plus an extension as a file name.
const LONGEST_PART: usize = 250;
/// The maximum length of a name, in bytes. Carbon uses the name as a path on disk.
const LONGEST_NAME: usize = 3_500;
/// The maximum length of a tagged name, in bytes. Carbon uses a hash as the file name, so only the limit of 16 KiB per
/// line applies.
const LONGEST_TAGGED: usize = 16_000;

const NOT_A_NUMBER: &str = "is not a number";
const TOO_LONG: &str = "has a name that is too long for carbon";
const SAME_NAME: &str = "has the same name as another series after invalid characters are replaced";

/// A visitor that writes a line for each sample.
pub(super) struct GraphiteLines<'p> {
    pub(super) out: Vec<u8>,
    prefix: &'p str,
    tagged: bool,
    /// The end of each line: the timestamp and the line break.
    end: String,
    /// The name of the current family.
    family: String,
    /// The hashes of all names so far. If two names have the same hash, one line is lost. With a million names, this
    /// happens in about one in 30 million pushes.
    seen: HashSet<u64, foldhash::fast::RandomState>,
    push: &'p PushContext<'p>,
}

impl<'p> GraphiteLines<'p> {
    /// Creates a visitor. The `prefix` argument must be a value returned by
    /// [`prefix`](super::super::push::path::prefix).
    pub(super) fn new(prefix: &'p str, tagged: bool, seconds: u64, push: &'p PushContext<'p>) -> Self {
        let (end, family, seen) = (format!(" {seconds}\n"), String::new(), HashSet::default());
        Self { out: Vec::new(), prefix, tagged, end, family, seen, push }
    }

    fn sample(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<(&'static str, f64)>, value: Number) {
        let start = self.out.len();
        self.push_name(suffix, labels, bound);
        match self.unfit(start, value) {
            None => {
                self.out.push(b' ');
                push_value(&mut self.out, value);
                self.out.extend_from_slice(self.end.as_bytes());
            }
            Some(reason) => {
                self.push.skip(reason, &String::from_utf8_lossy(&self.out[start..]));
                self.out.truncate(start);
            }
        }
    }

    /// Returns the reason why a sample cannot be sent, or `None` if it can. The sample's name begins at `start` in
    /// `out`.
    fn unfit(&mut self, start: usize, value: Number) -> Option<&'static str> {
        let name = &self.out[start..];
        // Even with `tagged`, a name without tags is a path on disk.
        let is_too_long = if name.contains(&b';') {
            name.len() > LONGEST_TAGGED
        } else {
            name.len() > LONGEST_NAME || name.split(|byte| *byte == b'.').any(|part| part.len() > LONGEST_PART)
        };
        if is_too_long {
            return Some(TOO_LONG);
        }
        let hash = self.seen.hasher().hash_one(name);
        if !self.seen.insert(hash) {
            return Some(SAME_NAME);
        }
        // A NaN sample still reserves its name. Otherwise, another series with that name would be sent only in pushes
        // in which this sample is NaN.
        value.as_f64().is_nan().then_some(NOT_A_NUMBER)
    }

    fn push_name(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<(&'static str, f64)>) {
        let Self { out, prefix, family, tagged, .. } = self;
        for part in [prefix, family.as_str(), suffix] {
            out.extend_from_slice(part.as_bytes());
        }
        let mut pairs = pairs(labels, bound);
        if !*tagged {
            return push_labels(out, &mut pairs);
        }
        rename_tags(&mut pairs);
        // Carbon includes the `=` when it sorts tags, so `a1=` sorts before `a=`.
        pairs.sort_unstable_by(|(one, _), (other, _)| one.bytes().chain([b'=']).cmp(other.bytes().chain([b'='])));
        for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            out.push(b';');
            push_valid(out, name);
            out.push(b'=');
            push_valid(out, value);
        }
    }
}

impl Visitor for GraphiteLines<'_> {
    fn family(&mut self, family: &FamilyInfo<'_>) {
        let mut name = Vec::new();
        push_valid(&mut name, family.name);
        self.family = String::from_utf8_lossy(&name).into_owned();
    }

    fn series(&mut self, labels: Labels<'_>, value: &Value<'_>) {
        match *value {
            Value::Counter(total) => self.sample("", labels, None, total),
            Value::Gauge(value) | Value::Untyped(value) => self.sample("", labels, None, Number::Float(value)),
            Value::Summary { count, sum, quantiles } => {
                for (quantile, value) in quantiles {
                    self.sample("", labels, Some(("quantile", *quantile)), Number::Float(*value));
                }
                self.sample("_count", labels, None, Number::Whole(count));
                self.sample("_sum", labels, None, Number::Float(sum));
            }
            Value::Histogram { count, sum, buckets, .. } => {
                for (bound, count) in buckets {
                    self.sample("_bucket", labels, Some(("le", *bound)), Number::Whole(*count));
                }
                self.sample("_count", labels, None, Number::Whole(count));
                self.sample("_sum", labels, None, Number::Float(sum));
            }
        }
    }
}

/// Renames the `name` label because Graphite reserves that tag for the series name.
fn rename_tags(pairs: &mut [Pair<'_>]) {
    let Some(at) = pairs.iter().position(|(name, _)| name == "name") else { return };
    let mut tag = "exported_name".to_owned();
    while pairs.iter().any(|(name, _)| *name == tag) {
        tag.insert_str(0, "exported_");
    }
    pairs[at].0 = tag.into();
}

/// Appends a value in Python's float notation.
fn push_value(out: &mut Vec<u8>, value: Number) {
    match value {
        Number::Whole(whole) => {
            out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
            out.extend_from_slice(b".0");
        }
        Number::Float(float) if float.is_infinite() => {
            out.extend_from_slice(if float > 0.0 { b"inf" } else { b"-inf" });
        }
        Number::Float(float) => {
            let start = out.len();
            push_float(out, float);
            if out[start..].iter().all(|byte| byte.is_ascii_digit() || *byte == b'-') {
                out.extend_from_slice(b".0");
            }
        }
    }
}

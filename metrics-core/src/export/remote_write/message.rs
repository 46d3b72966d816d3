//! Messages of remote write 1.0, as protobuf bytes. Field numbers and type codes match Prometheus's `prompb` package.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::cell::varint;
use crate::encode::wire::{push_bytes, push_double, push_native_buckets, push_sint, push_tag, push_uint};
use crate::kind::Kind;
use crate::sample::{Exemplar, FamilyInfo, Labels, NativeHistogram};

/// The NaN that marks a series as stale.
pub(super) const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);
/// The NaN that is sent as a value. Other NaN bit patterns might be that of [`STALE`].
const NOT_A_NUMBER: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

const NAME: &str = "__name__";

/// The encoded labels of a series, without the labels that its samples do not share: the name and the bound.
#[derive(Default)]
pub(super) struct SharedLabels {
    bytes: Vec<u8>,
    /// The position of the name.
    name_at: usize,
    /// The position of the bound.
    bound_at: usize,
}

impl SharedLabels {
    /// Encodes the labels of a series and the external labels that it does not have. `bound` is the bound's label.
    ///
    /// Receivers require sorted labels. They treat an empty value like an absent label, so empty values are omitted.
    pub(super) fn set(&mut self, labels: Labels<'_>, external: &BTreeMap<String, String>, bound: &str) {
        let mut pairs: Vec<(&str, Cow<'_, str>)> = labels.iter().filter(|(_, value)| !value.is_empty()).collect();
        for (name, value) in external {
            if !value.is_empty() && !pairs.iter().any(|(own, _)| own == name) {
                pairs.push((name, value.into()));
            }
        }
        pairs.sort_unstable_by_key(|(name, _)| *name);
        self.bytes.clear();
        (self.name_at, self.bound_at) = (0, 0);
        for (name, value) in pairs {
            push_label(&mut self.bytes, name, &value);
            if name < NAME {
                self.name_at = self.bytes.len();
            }
            if name < bound {
                self.bound_at = self.bytes.len();
            }
        }
    }

    /// Appends all labels of a sample.
    pub(super) fn push_to(&self, out: &mut Vec<u8>, name: &str, bound: Option<(&str, &str)>) {
        let (before_name, rest) = self.bytes.split_at(self.name_at);
        // `__name__` sorts before every bound.
        let (before_bound, rest) = rest.split_at(self.bound_at - self.name_at);
        out.extend_from_slice(before_name);
        push_label(out, NAME, name);
        out.extend_from_slice(before_bound);
        if let Some((bound, value)) = bound {
            push_label(out, bound, value);
        }
        out.extend_from_slice(rest);
    }
}

/// Appends a label as field 1, its field number in every message with labels.
fn push_label(out: &mut Vec<u8>, name: &str, value: &str) {
    let len = |text: &str| 1 + varint::len(text.len() as u64) + text.len() as u64;
    push_tag(out, 1, 2);
    varint::push(out, len(name) + len(value));
    push_bytes(out, 1, name.as_bytes());
    push_bytes(out, 2, value.as_bytes());
}

/// Returns the metadata of a family, with the same type as in the text format.
pub(super) fn metadata(family: &FamilyInfo<'_>) -> Vec<u8> {
    let mut metadata = Vec::new();
    let kind = match family.kind {
        Kind::Untyped => 0,
        Kind::Counter => 1,
        Kind::Gauge | Kind::Info | Kind::StateSet => 2,
        Kind::Histogram => 3,
        Kind::Summary => 5,
    };
    push_uint(&mut metadata, 1, kind);
    push_bytes(&mut metadata, 2, family.name.as_bytes());
    push_bytes(&mut metadata, 4, family.help.as_bytes());
    if let Some(unit) = family.unit {
        push_bytes(&mut metadata, 5, unit.as_bytes());
    }
    metadata
}

/// Appends a sample to a series.
pub(super) fn push_sample(series: &mut Vec<u8>, value: f64, time: i64) {
    const DOUBLE: u64 = 9;
    let time = time.cast_unsigned();
    push_tag(series, 2, 2);
    varint::push(series, DOUBLE + 1 + varint::len(time));
    push_double(series, 1, value);
    push_uint(series, 2, time);
}

/// Returns the value, or a NaN that is not a stale marker if the value is NaN.
pub(super) fn live(value: f64) -> f64 {
    if value.is_nan() { NOT_A_NUMBER } else { value }
}

/// Appends an exemplar to a series.
pub(super) fn push_exemplar(series: &mut Vec<u8>, exemplar: &Exemplar<'_>) {
    let mut pairs: Vec<(&str, Cow<'_, str>)> = exemplar.labels.iter().collect();
    pairs.sort_unstable_by_key(|(name, _)| *name);
    let mut message = Vec::new();
    for (name, value) in pairs {
        push_label(&mut message, name, &value);
    }
    push_double(&mut message, 2, exemplar.value);
    push_uint(&mut message, 3, milliseconds(exemplar.timestamp).cast_unsigned());
    push_bytes(series, 3, &message);
}

/// Appends a native histogram to a series.
pub(super) fn push_histogram(series: &mut Vec<u8>, count: u64, sum: f64, native: &NativeHistogram<'_>, time: i64) {
    let (mut message, mut inner) = (Vec::new(), Vec::new());
    push_uint(&mut message, 1, count);
    push_double(&mut message, 3, sum);
    push_sint(&mut message, 4, i64::from(native.schema));
    push_double(&mut message, 5, native.zero_threshold);
    push_uint(&mut message, 6, native.zero_count);
    push_native_buckets(&mut message, &mut inner, native.negative, [8, 9]);
    push_native_buckets(&mut message, &mut inner, native.positive, [11, 12]);
    push_uint(&mut message, 15, time.cast_unsigned());
    push_bytes(series, 4, &message);
}

/// Appends the stale marker of a series of native histograms.
pub(super) fn push_stale_histogram(series: &mut Vec<u8>, time: i64) {
    let empty = NativeHistogram { schema: 0, zero_threshold: 0.0, zero_count: 0, positive: &[], negative: &[] };
    push_histogram(series, 0, STALE, &empty, time);
}

/// Returns a time in milliseconds since 1970. Earlier times become 0.
pub(super) fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

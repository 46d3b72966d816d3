//! Names that consist of parts separated by dots, with the labels as parts.

use std::borrow::Cow;

use crate::encode::number::push_canonical;
use crate::sample::Labels;

/// A label's name and value.
pub(in crate::export) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Returns a valid name prefix, which is either empty or ends with a dot.
pub(in crate::export) fn prefix(text: &str) -> String {
    let mut valid = Vec::new();
    for part in text.split('.').filter(|part| !part.is_empty()) {
        push_valid(&mut valid, part);
        valid.push(b'.');
    }
    String::from_utf8_lossy(&valid).into_owned()
}

/// Appends `text`, with `_` in place of each character that is invalid in a part of a name.
pub(in crate::export) fn push_valid(out: &mut Vec<u8>, text: &str) {
    let valid = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    out.extend(text.chars().map(valid).map(|c| c as u8));
}

/// Returns the labels of a sample, including the bound of a bucket or quantile.
pub(in crate::export) fn pairs<'a>(labels: Labels<'a>, bound: Option<(&'static str, f64)>) -> Vec<Pair<'a>> {
    let mut pairs: Vec<Pair<'a>> = labels.iter().map(|(name, value)| (name.into(), value)).collect();
    if let Some((name, value)) = bound {
        let mut text = Vec::new();
        push_canonical(&mut text, value);
        pairs.push((name.into(), String::from_utf8_lossy(&text).into_owned().into()));
    }
    pairs
}

/// Sorts the labels by name, and appends them as parts of a name. An empty value is written as `_`, because omitting it
/// would change the depth of the path.
pub(in crate::export) fn push_labels(out: &mut Vec<u8>, pairs: &mut [Pair<'_>]) {
    pairs.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    for (name, value) in &*pairs {
        for part in [name.as_ref(), if value.is_empty() { "_" } else { value }] {
            out.push(b'.');
            push_valid(out, part);
        }
    }
}

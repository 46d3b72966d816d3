//! Label sets: valid names, the text representation of a set, and equality.
//!
//! A label set is stored once, as the escaped text that a scrape copies (`path="/foo",method="GET"`). Escaping is
//! injective, so two sets are equal if and only if their text is equal. Equality never depends on a hash alone.

use std::borrow::Cow;

use crate::error::Error;
use crate::kind::Kind;

/// The value of every label of a family's overflow series.
pub const OVERFLOW: &str = "__overflow__";
/// The label value that is recorded instead of a value outside the label's closed set.
pub const OTHER: &str = "other";
/// The value of a label that is derived from the result or the error kind, if the call panicked.
pub const PANIC: &str = "panic";
/// The value of a label that is derived from the result, if the call's future was dropped before it completed.
pub const CANCELLED: &str = "cancelled";
/// The maximum length of a label value, in bytes. Label sets with longer values are counted in the overflow series.
pub(crate) const MAX_VALUE_LEN: usize = 1_024;

pub(crate) fn is_metric_name(name: &str) -> bool {
    is_name(name, |c| c == ':')
}

pub(crate) fn is_label_name(name: &str) -> bool {
    is_name(name, |_| false)
}

fn is_name(name: &str, also: impl Fn(char) -> bool) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || also(c);
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// Checks the label names of one family.
pub(crate) fn check_names<'a>(
    metric: &str,
    kind: Kind,
    names: &(impl Iterator<Item = &'a str> + Clone),
) -> Result<(), Error> {
    for (position, name) in names.clone().enumerate() {
        let (metric, label) = (metric.to_owned(), name.to_owned());
        if !is_label_name(name) {
            return Err(Error::InvalidLabelName { metric, label });
        }
        let reserved =
            name.starts_with("__") || matches!((kind, name), (Kind::Histogram, "le") | (Kind::Summary, "quantile"));
        if reserved {
            return Err(Error::ReservedLabelName { metric, label });
        }
        if names.clone().take(position).any(|earlier| earlier == name) {
            return Err(Error::DuplicateLabelName { metric, label });
        }
    }
    Ok(())
}

/// Appends `name="value"`, preceded by a comma unless this is the first pair after `start`.
pub(crate) fn push_pair(text: &mut String, start: usize, name: &str, value: &str) {
    if text.len() > start {
        text.push(',');
    }
    text.push_str(name);
    text.push_str("=\"");
    escape(text, value);
    text.push('"');
}

/// The maximum length of the text that [`push_pair`] appends.
pub(crate) fn max_pair_len(name: &str, value: &str) -> usize {
    name.len() + 2 * value.len() + ",=\"\"".len()
}

fn escape(text: &mut String, value: &str) {
    let mut rest = value;
    while let Some(at) = rest.find(['\\', '"', '\n']) {
        text.push_str(&rest[..at]);
        text.push_str(match rest.as_bytes()[at] {
            b'\\' => "\\\\",
            b'"' => "\\\"",
            _ => "\\n",
        });
        rest = &rest[at + 1..];
    }
    text.push_str(rest);
}

/// Returns true if `text`, written by [`push_pair`] for these names, has these values.
pub(crate) fn matches<'a>(
    text: &[u8],
    names: impl Iterator<Item = &'a str>,
    values: impl Iterator<Item = &'a str>,
) -> bool {
    let mut rest = text;
    for (name, value) in names.zip(values) {
        // Skips `name="`. The comma between pairs was skipped with the previous pair.
        let Some(after) = rest.get(name.len() + 2..) else { return false };
        rest = after;
        match rest.strip_prefix(value.as_bytes()) {
            Some(after) if !value.bytes().any(|byte| matches!(byte, b'\\' | b'"' | b'\n')) => rest = after,
            _ => match strip_escaped(rest, value) {
                Some(after) => rest = after,
                None => return false,
            },
        }
        match rest {
            [b'"', b',', after @ ..] | [b'"', after @ ..] => rest = after,
            _ => return false,
        }
    }
    rest.is_empty()
}

/// A faster [`matches()`] for texts without escapes.
#[inline]
pub(crate) fn matches_plain<'a>(
    text: &[u8],
    names: impl Iterator<Item = &'a str>,
    values: impl Iterator<Item = &'a str>,
) -> bool {
    // The position of the next pair. Before each pair except the first one, there is a comma.
    let mut at = 0;
    for (name, value) in names.zip(values) {
        let start = at + name.len() + 2;
        let end = start + value.len();
        // Without escaped values, the text has two quotes for each value. If all of them are found around the values, the
        // values contain none, so each of them is complete.
        match text.get(start - 1..=end) {
            Some([b'"', this @ .., b'"']) if this == value.as_bytes() => at = end + 2,
            _ => return false,
        }
    }
    // A family without labels has an empty text.
    at.saturating_sub(1) == text.len()
}

/// Removes the escaped `value` from the start of `text`. Returns `None` if `text` does not start with it.
fn strip_escaped<'t>(text: &'t [u8], value: &str) -> Option<&'t [u8]> {
    value.bytes().try_fold(text, |rest, byte| {
        let escaped: &[u8] = match byte {
            b'\\' => b"\\\\",
            b'"' => b"\\\"",
            b'\n' => b"\\n",
            _ => std::slice::from_ref(&byte),
        };
        rest.strip_prefix(escaped)
    })
}

/// Iterates over the unescaped names and values in text written by [`push_pair`].
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (name, after) = rest.split_once('=')?;
        let after = after.strip_prefix('"')?;
        let end = end_of_value(after);
        let value = unescape(&after[..end]);
        rest = after[end + 1..].strip_prefix(',').unwrap_or_default();
        Some((name, value))
    })
}

/// Returns the position of the closing quote of a value.
fn end_of_value(text: &str) -> usize {
    let mut escaped = false;
    text.bytes()
        .position(|byte| {
            let end = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            end
        })
        .unwrap_or(text.len().saturating_sub(1))
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut value = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.as_str().chars().next()) {
            ('\\', Some(next)) => {
                chars.next();
                value.push(if next == 'n' { '\n' } else { next });
            }
            _ => value.push(c),
        }
    }
    Cow::Owned(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [&str; 9] = ["", "a", "x", "\"", "\\", "\n", "a\\\"b\nc", "ü\u{1F600}", "\",b=\"x"];

    #[test]
    fn pairs_are_read_as_they_were_written() {
        for first in VALUES {
            for second in VALUES {
                let mut text = String::new();
                push_pair(&mut text, 0, "a", first);
                push_pair(&mut text, 0, "b", second);
                let read: Vec<_> = pairs(&text).map(|(name, value)| (name, value.into_owned())).collect();
                assert_eq!(read, [("a", first.to_owned()), ("b", second.to_owned())]);
            }
        }
    }

    #[test]
    fn quotes_in_a_value_do_not_match_those_between_values() {
        let text = "a=\"x\",b=\"yyyyyyyy\"";
        let matches = |values: [&str; 2]| {
            let names = || ["a", "b"].into_iter();
            let found = [matches, matches_plain].map(|matches| matches(text.as_bytes(), names(), values.into_iter()));
            assert_eq!(found[0], found[1], "{values:?}");
            found[0]
        };
        assert!(matches(["x", "yyyyyyyy"]));
        for values in [["x\",b=", "yyyy"], ["x\",b=\"yyyyyyyy", ""], ["x", "yyyyyyyy\""], ["x\"", "yyyyyyyy"]] {
            assert!(!matches(values), "{values:?}");
        }
    }

    #[test]
    fn sets_match_only_themselves() {
        let text = |values: [&str; 2]| {
            let mut text = String::new();
            push_pair(&mut text, 0, "a", values[0]);
            push_pair(&mut text, 0, "b", values[1]);
            text
        };
        let sets: Vec<[&str; 2]> = VALUES.iter().flat_map(|a| VALUES.map(|b| [*a, b])).collect();
        for one in &sets {
            for other in &sets {
                let same = matches(text(*one).as_bytes(), ["a", "b"].into_iter(), other.iter().copied());
                assert_eq!(same, one == other, "{one:?} {other:?}");
                if !text(*one).contains('\\') {
                    let same = matches_plain(text(*one).as_bytes(), ["a", "b"].into_iter(), other.iter().copied());
                    assert_eq!(same, one == other, "{one:?} {other:?}");
                }
            }
        }
    }
}

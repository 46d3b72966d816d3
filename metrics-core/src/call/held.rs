//! A label's value, held for as long as a call.

use crate::label_value::{Label, LabelValue};
use crate::labels::MAX_VALUE_LEN;

/// Longer values are held on the heap.
const MAX_INLINE: usize = 62;

/// The text of a label's value.
#[derive(Clone, Debug)]
pub struct Held(Text);

#[derive(Clone, Debug)]
enum Text {
    Inline { len: u8, bytes: [u8; MAX_INLINE] },
    Heap(Box<str>),
}

impl Held {
    /// What is longer than any series can show is cut, to a length that is still too long.
    #[inline]
    pub(super) fn new(text: &str) -> Self {
        let len = text.len();
        match u8::try_from(len) {
            Ok(short) if len <= MAX_INLINE => {
                let mut bytes = [0; MAX_INLINE];
                bytes[..len].copy_from_slice(text.as_bytes());
                Self(Text::Inline { len: short, bytes })
            }
            _ => {
                let end = (len.min(MAX_VALUE_LEN + 1)..len).find(|at| text.is_char_boundary(*at)).unwrap_or(len);
                Self(Text::Heap(text[..end].into()))
            }
        }
    }

    #[inline]
    pub(super) fn of(label: Label<'_>) -> Self {
        Self::new(label.as_str())
    }

    #[inline]
    pub(super) fn as_str(&self) -> &str {
        match &self.0 {
            Text::Inline { len, bytes } => {
                std::str::from_utf8(&bytes[..usize::from(*len).min(MAX_INLINE)]).unwrap_or_default()
            }
            Text::Heap(text) => text,
        }
    }
}

/// The value that a label from the result gets.
#[inline]
pub fn of_result<'r, R, L: LabelValue>(returned: &'r R, value: impl FnOnce(&'r R) -> L) -> Held {
    Held::of(value(returned).label())
}

/// The kind of the error that was returned, if one was.
#[inline]
pub fn kind_of<'r, T, E, L: LabelValue>(returned: &'r Result<T, E>, kind: impl FnOnce(&'r E) -> L) -> Option<Held> {
    returned.as_ref().err().map(|error| Held::of(kind(error).label()))
}

/// What returns errors that have a kind: a `Result` whose error can be the value of a label.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no error to take a `kind` from",
    label = "not a `Result`",
    note = "`kind` is the label of an error: name a function that returns a `Result`, or write `name = |out| ..` for a label from the result"
)]
pub trait Fallible {
    /// All kinds, where they are a closed set.
    const KINDS: Option<&'static [&'static str]>;

    /// The kind of the error, if there is one.
    fn kind(&self) -> Option<Held>;
}

impl<T, E: LabelValue> Fallible for Result<T, E> {
    const KINDS: Option<&'static [&'static str]> = E::VALUES;

    #[inline]
    fn kind(&self) -> Option<Held> {
        self.as_ref().err().map(|error| Held::of(error.label()))
    }
}

/// The kind of the error that was returned, if one was; the error is itself the value of the label.
#[inline]
pub fn kind<R: Fallible>(returned: &R) -> Option<Held> {
    returned.kind()
}

/// All kinds that a function which returns this has, as far as they are known.
#[must_use]
pub fn kinds<R: Fallible>() -> Vec<String> {
    R::KINDS.unwrap_or_default().iter().map(|kind| (*kind).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_any_length_is_held() {
        for len in [0, 1, MAX_INLINE, MAX_INLINE + 1, MAX_VALUE_LEN] {
            let text = "x".repeat(len);
            assert_eq!(Held::new(&text).as_str(), text);
        }
    }

    #[test]
    fn text_that_is_too_long_is_cut_and_still_too_long() {
        for text in ["x".repeat(5_000), "\u{1F600}".repeat(5_000)] {
            let held = Held::new(&text);
            assert!((MAX_VALUE_LEN + 1..MAX_VALUE_LEN + 5).contains(&held.as_str().len()));
            assert!(text.starts_with(held.as_str()));
        }
    }
}

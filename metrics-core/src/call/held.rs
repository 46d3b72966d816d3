//! A label's value, held for as long as a call.

use std::marker::PhantomData;
use std::ops::Deref;

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
    pub(crate) fn new(text: &str) -> Self {
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
    pub(super) fn of(label: &Label<'_>) -> Self {
        Self::new(label.as_str())
    }

    #[inline]
    pub(crate) fn as_str(&self) -> &str {
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
    Held::of(&value(returned).label())
}

/// What returns errors that have a kind: a `Result`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no error to take a `kind` from",
    label = "not a `Result`",
    note = "`kind` is the label of an error: put it on a function that returns a `Result`, or write `name = |out| ..` for a label from the result"
)]
pub trait Fallible {
    /// The error.
    type Error;

    /// The error that was returned, if one was.
    fn error(&self) -> Option<&Self::Error>;
}

impl<T, E> Fallible for Result<T, E> {
    type Error = E;

    #[inline]
    fn error(&self) -> Option<&E> {
        self.as_ref().err()
    }
}

/// The kind of the error that was returned, if one was.
#[inline]
pub fn kind_of<'r, R: Fallible, L: LabelValue>(returned: &'r R, kind: impl FnOnce(&'r R::Error) -> L) -> Option<Held> {
    returned.error().map(|error| Held::of(&kind(error).label()))
}

/// As [`kind_of`], where the error is itself the value of the label.
#[inline]
pub fn kind<R: Fallible<Error: LabelValue>>(returned: &R) -> Option<Held> {
    kind_of(returned, |error| error)
}

/// The kinds that the errors of a type have; none are known of a type that is no `Result` with a label value in it, which
/// [`kind`] then says.
#[derive(Debug)]
pub struct KindsOf<R>(NoKinds, PhantomData<R>);

impl<R> KindsOf<R> {
    /// Asks for the kinds.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "generated code names it")]
    pub fn new() -> Self {
        Self(NoKinds, PhantomData)
    }
}

impl<T, E: LabelValue> KindsOf<Result<T, E>> {
    /// All kinds, as far as they are known.
    #[must_use]
    pub fn kinds(&self) -> Vec<String> {
        E::VALUES.unwrap_or_default().iter().map(|kind| (*kind).to_owned()).collect()
    }
}

/// Errors without kinds.
#[derive(Debug)]
pub struct NoKinds;

impl NoKinds {
    /// None.
    #[must_use]
    pub fn kinds(&self) -> Vec<String> {
        Vec::new()
    }
}

impl<R> Deref for KindsOf<R> {
    type Target = NoKinds;

    fn deref(&self) -> &NoKinds {
        &self.0
    }
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

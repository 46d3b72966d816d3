//! The kind of an error, and the label values that come from a result.

use std::marker::PhantomData;
use std::ops::Deref;

use crate::label_text::LabelText;
use crate::label_value::LabelValue;

/// Returns the value of a label that comes from the result.
#[inline]
pub fn of_result<'r, R, L: LabelValue>(returned: &'r R, value: impl FnOnce(&'r R) -> L) -> LabelText {
    LabelText::of(&value(returned).label())
}

/// A return type whose errors have a kind: a `Result`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no error to take a `kind` from",
    label = "not a `Result`",
    note = "`kind` is the label of an error: put it on a function that returns a `Result`, or write `name = |out| ..` for a label from the result"
)]
pub trait Fallible {
    /// The type of the error.
    type Error;

    /// Returns the error if the value is an `Err`.
    fn error(&self) -> Option<&Self::Error>;
}

impl<T, E> Fallible for Result<T, E> {
    type Error = E;

    #[inline]
    fn error(&self) -> Option<&E> {
        self.as_ref().err()
    }
}

/// Returns the error's kind if the value is an `Err`.
#[inline]
pub fn kind_of<'r, R: Fallible, L: LabelValue>(
    returned: &'r R,
    kind: impl FnOnce(&'r R::Error) -> L,
) -> Option<LabelText> {
    returned.error().map(|error| LabelText::of(&kind(error).label()))
}

/// An error that is itself the value of the `kind` label.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of label `kind`",
    label = "not a label value",
    note = "if it is an enum, derive `metrics_core::LabelValue`, with `#[label(ignore_data)]` if its variants have data",
    note = "for any other error, write `kind = |error| ..` with a closure that returns one of a few values, such as `|error| error.kind().to_string()` for an `io::Error`, or `|error| if error.is::<io::Error>() {{ \"io\" }} else {{ \"other\" }}` for a `Box<dyn Error>` or `anyhow::Error`"
)]
pub trait ErrorKind: LabelValue {}

#[diagnostic::do_not_recommend]
impl<E: LabelValue + ?Sized> ErrorKind for E {}

/// Like [`kind_of`], but for an error that is itself the value of the label.
#[inline]
pub fn kind<R: Fallible<Error: ErrorKind>>(returned: &R) -> Option<LabelText> {
    kind_of(returned, |error| error)
}

/// The error kinds of a return type, if they are known.
///
/// No kinds are known unless the type is a `Result` whose error is a label value. [`kind`] rejects any other type.
#[derive(Debug)]
pub struct KindsOf<R>(NoKinds, PhantomData<R>);

impl<R> KindsOf<R> {
    /// Creates a value whose `kinds` method depends on the return type.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "generated code names it")]
    pub fn new() -> Self {
        Self(NoKinds, PhantomData)
    }
}

impl<T, E: LabelValue> KindsOf<Result<T, E>> {
    /// Returns all kinds if they form a closed set, or an empty list otherwise.
    #[must_use]
    pub fn kinds(&self) -> Vec<String> {
        E::VALUES.unwrap_or_default().iter().map(|kind| (*kind).to_owned()).collect()
    }
}

/// The fallback for return types whose errors have no known kinds.
#[derive(Debug)]
pub struct NoKinds;

impl NoKinds {
    /// Returns an empty list.
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

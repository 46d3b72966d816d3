//! Determines whether a returned value is an exception, based on its type or on the `exception_if` rule.

use std::ops::Deref;

/// A wrapper that determines whether a returned value is an exception.
///
/// For a `Result`, including aliases, `is_exception` is the inherent method. For any other type, it is the method of
/// [`NoResult`], to which this type dereferences. Generated code therefore does not have to name the return type.
#[derive(Debug)]
pub struct Returned<'a, R>(pub &'a R);

impl<T, E> Returned<'_, Result<T, E>> {
    /// Returns true if the value is an `Err`.
    #[inline]
    #[must_use]
    pub fn is_exception(&self) -> bool {
        self.0.is_err()
    }
}

/// The fallback for return types other than `Result`.
#[derive(Debug)]
pub struct NoResult;

impl NoResult {
    /// Returns false, because only an `Err` is an exception.
    #[inline]
    #[must_use]
    pub fn is_exception(&self) -> bool {
        false
    }
}

impl<R> Deref for Returned<'_, R> {
    type Target = NoResult;

    #[inline]
    fn deref(&self) -> &NoResult {
        &NoResult
    }
}

/// Applies the rule given as `exception_if`.
#[inline]
pub fn exception_if<R>(returned: &R, rule: impl FnOnce(&R) -> bool) -> bool {
    rule(returned)
}

/// Determines the output type of an `async` block, in a branch that is never taken.
///
/// # Panics
///
/// Always panics. Generated code calls it only in that branch.
#[cold]
#[must_use]
pub fn output<R>() -> R {
    unreachable!("`output` names a type and is never called")
}

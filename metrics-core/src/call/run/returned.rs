//! Decides whether a returned value is an exception, based on its type or on the `exception_if` rule.

use std::ops::Deref;

/// A returned value, to be asked whether it is an exception.
///
/// For a `Result`, by whatever alias, the method below is its own; for any other type it is that of [`NoResult`], to
/// which this dereferences. So no type need be named where it is asked.
#[derive(Debug)]
pub struct Returned<'a, R>(pub &'a R);

impl<T, E> Returned<'_, Result<T, E>> {
    /// Whether this is an `Err`.
    #[inline]
    #[must_use]
    pub fn is_exception(&self) -> bool {
        self.0.is_err()
    }
}

/// A returned value that is no `Result`.
#[derive(Debug)]
pub struct NoResult;

impl NoResult {
    /// `false`: only an `Err` is an exception.
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

/// Asks the rule given as `exception_if`.
#[inline]
pub fn exception_if<R>(returned: &R, rule: impl FnOnce(&R) -> bool) -> bool {
    rule(returned)
}

/// Stands in a branch that is never taken, to tell the compiler the type that an `async` block returns.
///
/// # Panics
///
/// Always; it is never called.
#[cold]
#[must_use]
pub fn output<R>() -> R {
    unreachable!("`output` names a type and is never called")
}

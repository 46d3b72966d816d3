//! Collects the mistakes in an item, so that one compilation reports all of them.

use proc_macro2::{Span, TokenStream};
use syn::Error;

/// Mistakes found so far.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    /// Adds a mistake that the compiler reports at `span`.
    pub(crate) fn at(&mut self, span: Span, message: impl std::fmt::Display) {
        self.add(Error::new(span, message));
    }

    /// Adds a mistake unless it is a duplicate. Duplicates occur because the attribute arguments of an `impl` block
    /// are checked once for each method.
    pub(crate) fn add(&mut self, error: Error) {
        let place = |error: &Error| (error.to_string(), format!("{:?}", error.span()));
        match &mut self.0 {
            Some(errors) if errors.clone().into_iter().any(|known| place(&known) == place(&error)) => {}
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// Returns a `compile_error!` for each mistake.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.0.map(|errors| errors.to_compile_error()).unwrap_or_default()
    }

    /// Returns `value` if no mistakes were found, or else a `compile_error!` for each mistake.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, TokenStream> {
        match (self, value) {
            (Self(None), Some(value)) => Ok(value),
            (errors, _) => Err(errors.into_tokens()),
        }
    }
}

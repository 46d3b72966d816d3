//! `#[derive(LabelValue)]`: turns the variants of an enum into a closed set of label values.

mod case;
mod emit;
mod parse;

#[cfg(test)]
mod snapshots;

use proc_macro2::{Ident, TokenStream};
use syn::{Generics, Path, Visibility};

use crate::errors::Errors;

/// The annotated enum and the label value of each variant.
struct ClosedSet {
    vis: Visibility,
    name: Ident,
    generics: Generics,
    variants: Vec<Named>,
    krate: Option<Path>,
    /// True if a mistake in the variants prevents `label` from being implemented.
    broken: bool,
}

/// A variant and its label value.
struct Named {
    variant: Ident,
    text: String,
    is_unit: bool,
}

/// Emits the implementation in addition to any errors, so that uses of the enum do not cause further errors.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let set = parse::parse(input, &mut errors);
    let mut tokens = errors.into_tokens();
    tokens.extend(set.as_ref().map(emit::closed_set));
    tokens
}

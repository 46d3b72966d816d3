//! `#[derive(LabelValue)]`: a closed set of label values from an enum.

mod case;
mod emit;
mod parse;

#[cfg(test)]
mod snapshots;

use proc_macro2::{Ident, TokenStream};
use syn::{Generics, Path, Visibility};

use crate::errors::Errors;

/// An enum and the text of each of its variants.
struct ClosedSet {
    vis: Visibility,
    name: Ident,
    generics: Generics,
    variants: Vec<Named>,
    krate: Option<Path>,
    /// True if the variants contain a mistake, so that only the name and the values can be used.
    broken: bool,
}

/// A variant and its value.
struct Named {
    variant: Ident,
    text: String,
    is_unit: bool,
}

/// The implementation, beside what is wrong: so a mistake adds none at each use of the type.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let set = parse::parse(input, &mut errors);
    let mut tokens = errors.into_tokens();
    tokens.extend(set.as_ref().map(emit::closed_set));
    tokens
}

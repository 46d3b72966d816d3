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
    /// Only beside the mistake that there are any.
    generics: Generics,
    variants: Vec<(Ident, String)>,
    krate: Option<Path>,
    /// Whether this is no enum without data, so that only its name and values can be used.
    broken: bool,
}

/// The implementation, beside what is wrong: so a mistake adds none at each use of the type.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let set = parse::parse(input, &mut errors);
    let mut tokens = errors.into_tokens();
    tokens.extend(set.as_ref().map(emit::closed_set));
    tokens
}

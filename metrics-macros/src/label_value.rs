//! `#[derive(LabelValue)]`: a closed set of label values from an enum.

mod case;
mod emit;
mod parse;

#[cfg(test)]
mod snapshots;

use proc_macro2::{Ident, TokenStream};
use syn::{Path, Visibility};

/// An enum and the text of each of its variants.
struct ClosedSet {
    vis: Visibility,
    name: Ident,
    variants: Vec<(Ident, String)>,
    krate: Option<Path>,
}

/// The implementation, or what is wrong.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    match parse::parse(input) {
        Ok(set) => emit::closed_set(&set),
        Err(errors) => errors,
    }
}

//! `#[derive(Metrics)]`: a struct of metrics.

mod emit;
mod parse;

#[cfg(test)]
mod snapshots;

use proc_macro2::{Ident, TokenStream};
use syn::{Path, Type, Visibility};

/// A struct and what its attributes say.
struct Group {
    vis: Visibility,
    name: Ident,
    prefix: String,
    const_labels: Vec<(String, String)>,
    global: bool,
    /// Whether rules of style are errors.
    strict: bool,
    krate: Option<Path>,
    fields: Vec<Field>,
}

struct Field {
    vis: Visibility,
    ident: Ident,
    ty: Type,
    kind: FieldKind,
}

enum FieldKind {
    Metric(Metric),
    /// Another struct of metrics.
    Flatten,
}

struct Metric {
    /// The exported name, without the prefix.
    name: String,
    help: String,
    labels: Vec<Label>,
    unit: Option<String>,
    buckets: Option<Vec<f64>>,
    max_series: Option<usize>,
    const_labels: Vec<(String, String)>,
    /// Rules of style that the name may break, as variants of `StyleRule`.
    allowed: Vec<Ident>,
}

struct Label {
    ident: Ident,
    name: String,
    ty: Type,
}

/// The implementation, or what is wrong.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    match parse::parse(input) {
        Ok(group) => emit::group(&group),
        Err(errors) => errors,
    }
}

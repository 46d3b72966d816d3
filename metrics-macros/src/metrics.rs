//! `#[derive(Metrics)]`: declares the fields of a struct as metrics.

mod emit;
mod parse;

#[cfg(test)]
mod snapshots;

use proc_macro2::{Ident, TokenStream};
use syn::{Expr, Generics, LitStr, Path, Type, Visibility};

use crate::errors::Errors;

/// The annotated struct and the options in its attributes.
struct Group {
    vis: Visibility,
    name: Ident,
    /// Generics are an error, but they are kept so that the emitted `impl` blocks match the struct.
    generics: Generics,
    prefix: String,
    const_labels: Vec<ConstLabel>,
    global: bool,
    /// True if style rule violations are errors.
    strict: bool,
    krate: Option<Path>,
    fields: Vec<Field>,
    /// True if a mistake prevents `declare` from constructing the struct.
    broken: bool,
}

struct Field {
    vis: Visibility,
    ident: Ident,
    ty: Type,
    kind: FieldKind,
}

enum FieldKind {
    Metric(Metric),
    /// Another metrics struct.
    Flatten {
        prefix: String,
        const_labels: Vec<ConstLabel>,
    },
    /// A field whose attribute could not be parsed, or whose name conflicts with a generated function.
    Broken,
}

struct Metric {
    /// The exported name, without the prefix.
    name: LitStr,
    help: Help,
    labels: Vec<Label>,
    unit: Option<LitStr>,
    buckets: Option<Vec<f64>>,
    quantiles: Option<Vec<f64>>,
    native: bool,
    max_series: Option<usize>,
    const_labels: Vec<ConstLabel>,
    /// Style rules that the name may violate, as variants of `StyleRule`.
    allowed: Vec<Ident>,
}

/// The help text of a metric.
enum Help {
    /// A literal, or an empty string if the help text is missing.
    Text(String),
    /// The lines of a doc comment that contains macros such as `concat!(..)`.
    Docs(Vec<Expr>),
    /// An expression given by the `help` option.
    Given(TokenStream),
}

struct Label {
    /// The name of the accessor's parameter.
    ident: Ident,
    name: LitStr,
    ty: Type,
}

struct ConstLabel {
    name: LitStr,
    value: String,
}

impl Group {
    /// Returns the exported name of a metric. A struct that flattens this one may add another prefix.
    fn exported(&self, name: &LitStr) -> String {
        if self.prefix.is_empty() { name.value() } else { format!("{}_{}", self.prefix, name.value()) }
    }
}

impl Metric {
    /// Returns true if the metric may violate `rule`, which is the name of a `StyleRule` variant.
    fn allows(&self, rule: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed == rule)
    }
}

/// Emits the implementation in addition to any errors, so that uses of the struct do not cause further errors.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let group = parse::parse(input, &mut errors);
    let mut tokens = errors.into_tokens();
    tokens.extend(group.as_ref().map(emit::group));
    tokens
}

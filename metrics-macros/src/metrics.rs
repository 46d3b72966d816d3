//! `#[derive(Metrics)]`: a struct of metrics.

mod emit;
mod parse;

#[cfg(test)]
mod snapshots;

use proc_macro2::{Ident, TokenStream};
use syn::{Expr, Generics, LitStr, Path, Type, Visibility};

use crate::errors::Errors;

/// A struct and what its attributes say.
struct Group {
    vis: Visibility,
    name: Ident,
    /// Only beside the mistake that there are any.
    generics: Generics,
    prefix: String,
    const_labels: Vec<ConstLabel>,
    global: bool,
    /// Whether rules of style are errors.
    strict: bool,
    krate: Option<Path>,
    fields: Vec<Field>,
    /// Whether a part could not be read, so that the struct can be named but not made.
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
    /// Another struct of metrics.
    Flatten {
        prefix: String,
        const_labels: Vec<ConstLabel>,
    },
    /// What could not be read.
    Broken,
}

struct Metric {
    /// The exported name, without the prefix.
    name: LitStr,
    help: Help,
    labels: Vec<Label>,
    unit: Option<LitStr>,
    buckets: Option<Vec<f64>>,
    max_series: Option<usize>,
    const_labels: Vec<ConstLabel>,
    /// Rules of style that the name may break, as variants of `StyleRule`.
    allowed: Vec<Ident>,
}

/// The help text of a metric.
enum Help {
    /// Known here; empty if there is none.
    Text(String),
    /// The lines of a doc comment with macros in it, such as `concat!(..)`.
    Docs(Vec<Expr>),
    /// Option `help`.
    Given(TokenStream),
}

struct Label {
    /// The parameter of the accessor.
    ident: Ident,
    name: LitStr,
    ty: Type,
}

struct ConstLabel {
    name: LitStr,
    value: String,
}

impl Group {
    /// The name of a metric as it is exported where the struct stands alone.
    fn exported(&self, name: &LitStr) -> String {
        if self.prefix.is_empty() { name.value() } else { format!("{}_{}", self.prefix, name.value()) }
    }
}

impl Metric {
    /// Whether the metric may break this rule of style, a variant of `StyleRule`.
    fn allows(&self, rule: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed == rule)
    }
}

/// The implementation, beside what is wrong: so a mistake adds none at each use of the struct.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let group = parse::parse(input, &mut errors);
    let mut tokens = errors.into_tokens();
    tokens.extend(group.as_ref().map(emit::group));
    tokens
}

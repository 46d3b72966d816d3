//! What an annotated function says, without its syntax.

use proc_macro2::{Ident, Span, TokenStream};
use syn::{Attribute, Expr, Path, ReturnType, Signature, Visibility};

/// A function and how it is to be instrumented.
pub(super) struct Instrument {
    pub(super) args: Args,
    pub(super) function: Function,
}

/// The function; its body is not looked into.
pub(super) struct Function {
    pub(super) attrs: Vec<Attribute>,
    pub(super) vis: Visibility,
    pub(super) sig: Signature,
    /// The span of the body's braces.
    pub(super) braces: Span,
    pub(super) body: TokenStream,
}

impl Function {
    pub(super) fn is_async(&self) -> bool {
        self.sig.asyncness.is_some()
    }

    /// Where a mistake in what the function returns is reported.
    pub(super) fn output_span(&self) -> Span {
        match &self.sig.output {
            ReturnType::Default => self.sig.ident.span(),
            ReturnType::Type(_, ty) => syn::spanned::Spanned::span(ty),
        }
    }
}

/// The arguments of the attribute.
#[derive(Default)]
pub(super) struct Args {
    pub(super) labels: Vec<Label>,
    pub(super) prefix: Option<String>,
    pub(super) latency: Option<Family>,
    pub(super) exceptions: Option<Family>,
    pub(super) cancelled: Option<Family>,
    pub(super) in_flight: Option<InFlight>,
    pub(super) buckets: Option<Vec<f64>>,
    pub(super) exception_if: Option<Expr>,
    pub(super) max_series: Option<usize>,
    /// Where `metrics_core` is, if not at `::metrics_core`.
    pub(super) krate: Option<Path>,
}

/// A label and where its value comes from.
pub(super) struct Label {
    pub(super) name: String,
    pub(super) value: LabelValue,
}

pub(super) enum LabelValue {
    Fixed(String),
    Call(Box<CallValue>),
}

/// A value that each call has its own of.
pub(super) struct CallValue {
    pub(super) value: Expr,
    pub(super) known: Option<Known>,
}

/// The list after `in`.
pub(super) struct Known {
    pub(super) values: Expr,
    pub(super) open: bool,
}

/// An expression that gives a family.
pub(super) struct Family {
    pub(super) value: Expr,
    /// Whether it must be evaluated by each call, since it is rooted at something that only a call has.
    pub(super) per_call: bool,
}

pub(super) enum InFlight {
    Default,
    Family(Family),
}

/// A variable as an expression.
pub(super) fn variable(ident: Ident) -> Expr {
    Expr::Path(syn::ExprPath { attrs: Vec::new(), qself: None, path: ident.into() })
}

//! The content of an annotated function, without its syntax.

use proc_macro2::{Group, Ident, Span, TokenStream};
use syn::{Attribute, Expr, Generics, Path, ReturnType, Signature, Type, Visibility};

/// A function and how it is to be instrumented.
pub(super) struct Instrument {
    pub(super) args: Args,
    pub(super) function: Function,
}

/// The function; its body is looked into no further than to find the future that it returns.
pub(super) struct Function {
    pub(super) attrs: Vec<Attribute>,
    pub(super) vis: Visibility,
    pub(super) sig: Signature,
    /// The body with its braces, as the user wrote them.
    pub(super) block: Group,
    pub(super) body: TokenStream,
    /// The generics of the `impl` block, where that is what is annotated.
    pub(super) block_generics: Option<Generics>,
    /// Where the function is not `async` and returns a future.
    pub(super) future: Option<ReturnedFuture>,
}

impl Function {
    pub(super) fn is_async(&self) -> bool {
        self.sig.asyncness.is_some()
    }

    /// Whether a call is a future, which can be dropped before it ends.
    pub(super) fn is_cancellable(&self) -> bool {
        self.is_async() || self.future.is_some()
    }

    /// Where a mistake in what the function returns is reported.
    pub(super) fn output_span(&self) -> Span {
        match &self.sig.output {
            ReturnType::Default => self.sig.ident.span(),
            ReturnType::Type(_, ty) => syn::spanned::Spanned::span(ty),
        }
    }
}

/// The future that a function returns.
pub(super) struct ReturnedFuture {
    pub(super) made: Made,
    pub(super) pinned: Pinned,
    /// What the future gives; `None` where only the compiler knows.
    pub(super) output: Option<Type>,
}

/// How a function makes the future that it returns.
pub(super) enum Made {
    /// By an `async` block, behind statements that do not return.
    Block { before: TokenStream, keywords: TokenStream, body: TokenStream },
    /// In some other way.
    Body,
}

/// Whether the future is returned in a pinned box.
pub(super) enum Pinned {
    No,
    /// By this function, which the user named.
    By(TokenStream),
    Yes,
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

impl Args {
    /// Whether the function's path is a label: no other is there when a call begins.
    pub(super) fn is_named_by_function(&self) -> bool {
        self.labels.iter().all(|label| matches!(label.value, LabelValue::Result(_) | LabelValue::Kind(_)))
    }

    /// Whether some labels are known only when a call ends.
    pub(super) fn has_late_labels(&self) -> bool {
        self.labels.iter().any(|label| matches!(label.value, LabelValue::Result(_) | LabelValue::Kind(_)))
    }
}

/// A label and where its value comes from.
pub(super) struct Label {
    pub(super) name: String,
    pub(super) value: LabelValue,
}

pub(super) enum LabelValue {
    Fixed(String),
    Call(Box<CallValue>),
    /// Of what the function returns.
    Result(Box<CallValue>),
    /// Of the error that the function returns.
    Kind(Box<Kind>),
}

/// The kind of an exception.
pub(super) struct Kind {
    /// What gives it; `None` where it is the error itself.
    pub(super) value: Option<Expr>,
    pub(super) known: Option<Known>,
    /// Where it stands in the attribute.
    pub(super) span: Span,
}

/// A value that each call has its own of.
pub(super) struct CallValue {
    pub(super) value: Expr,
    pub(super) known: Option<Known>,
}

/// The list after `in`.
#[derive(Clone)]
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

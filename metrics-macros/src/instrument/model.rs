//! The parsed function and attribute arguments, from which the code is emitted.

use proc_macro2::{Group, Ident, Span, TokenStream};
use syn::{Attribute, Expr, Generics, Path, ReturnType, Signature, Type, Visibility};

/// A function and the arguments of its attribute.
pub(super) struct Instrument {
    pub(super) args: Args,
    pub(super) function: Function,
}

/// The annotated function. Its body is not parsed, only searched for a returned future.
pub(super) struct Function {
    pub(super) attrs: Vec<Attribute>,
    pub(super) vis: Visibility,
    pub(super) sig: Signature,
    /// The body in the user's braces.
    pub(super) block: Group,
    pub(super) body: TokenStream,
    /// The generics of the `impl` block, if the attribute is on the block.
    pub(super) block_generics: Option<Generics>,
    /// The returned future, if a non-`async` function returns one.
    pub(super) future: Option<ReturnedFuture>,
}

impl Function {
    pub(super) fn is_async(&self) -> bool {
        self.sig.asyncness.is_some()
    }

    /// Returns true if a call creates a future, which can be dropped before it completes.
    pub(super) fn is_cancellable(&self) -> bool {
        self.is_async() || self.future.is_some()
    }

    /// Returns the span at which errors in the return value are reported.
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
    /// The output type of the future; `None` if only the compiler can determine it.
    pub(super) output: Option<Type>,
}

/// The way a function creates its returned future.
pub(super) enum Made {
    /// An `async` block, preceded only by statements that cannot return early.
    Block { before: TokenStream, keywords: TokenStream, block: Group },
    /// Any other body.
    Body,
}

/// The way the returned future is pinned.
pub(super) enum Pinned {
    No,
    /// Pinned by the user's code, through this path to `Box::pin`.
    By(TokenStream),
    Yes,
}

/// The checked arguments of the attribute.
#[derive(Default)]
pub(super) struct Args {
    pub(super) labels: Vec<Label>,
    pub(super) prefix: Option<String>,
    pub(super) latency: Option<Family>,
    pub(super) exceptions: Option<Family>,
    pub(super) cancelled: Option<Family>,
    pub(super) in_flight: Option<InFlight>,
    pub(super) buckets: Option<Vec<f64>>,
    pub(super) quantiles: Option<Vec<f64>>,
    /// True if the latency is a histogram with native buckets.
    pub(super) histogram: bool,
    pub(super) exception_if: Option<Expr>,
    pub(super) max_series: Option<usize>,
    /// The path to `metrics-core` if it is not `::metrics_core`.
    pub(super) krate: Option<Path>,
}

impl Args {
    /// Returns true if no label value is known when a call begins. The macro then adds the `function` label.
    pub(super) fn is_named_by_function(&self) -> bool {
        self.labels.iter().all(|label| matches!(label.value, LabelValue::Result(_) | LabelValue::Kind(_)))
    }

    /// Returns true if any label value is known only when a call ends.
    pub(super) fn has_late_labels(&self) -> bool {
        self.labels.iter().any(|label| matches!(label.value, LabelValue::Result(_) | LabelValue::Kind(_)))
    }
}

/// A label and the source of its value.
pub(super) struct Label {
    pub(super) name: String,
    pub(super) value: LabelValue,
}

pub(super) enum LabelValue {
    Fixed(String),
    Call(Box<CallValue>),
    /// Computed from the return value.
    Result(Box<CallValue>),
    /// The kind of the returned error.
    Kind(Box<Kind>),
}

/// The source of an exception's kind.
pub(super) struct Kind {
    /// The closure that returns the kind; `None` if the error itself is the label value.
    pub(super) value: Option<Expr>,
    pub(super) known: Option<Known>,
    /// The position of the label in the attribute.
    pub(super) span: Span,
}

/// A value that is evaluated for each call.
pub(super) struct CallValue {
    pub(super) value: Expr,
    pub(super) known: Option<Known>,
}

/// The list of label values after `in`.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) values: Expr,
    pub(super) open: bool,
}

/// An expression that evaluates to a family.
pub(super) struct Family {
    pub(super) value: Expr,
    /// True if the expression must be evaluated for each call, because it uses names that exist only during a call.
    pub(super) per_call: bool,
}

pub(super) enum InFlight {
    Default,
    Family(Family),
}

/// Converts the name of a variable into an expression.
pub(super) fn variable(ident: Ident) -> Expr {
    Expr::Path(syn::ExprPath { attrs: Vec::new(), qself: None, path: ident.into() })
}

//! Emits the annotated function. Emission cannot fail, because parsing has already found all mistakes.

mod body;
mod canonical;
mod captures;
mod rebound;

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, Path};

use super::block::{Block, Item};
use super::function;
use super::model::{Args, Family, Function, InFlight, Instrument, Kind, Known, LabelValue};
use super::ty;

pub(super) fn instrument(Instrument { args, function }: &Instrument) -> TokenStream {
    let private = private(args.krate.as_ref(), function.sig.ident.span());
    let site = site(args, function, &private);
    let body = body::of(args, function, &private);
    let Function { attrs, vis, .. } = function;
    let sig = rebound::signature(function);
    // Keeps the user's own braces, because function lints check them.
    let mut block = function::with_stream(&function.block, quote! { #site #body });
    if canonical::is_canonical(function) {
        block.set_span(Span::call_site().located_at(block.span()));
    }
    quote! { #(#attrs)* #vis #sig #block }
}

/// Returns true if [`instrument`] has emitted this body, which begins with `site!(__METRICS_SITE, ..)`.
pub(super) fn is_emitted(body: &TokenStream) -> bool {
    let group = body.clone().into_iter().find_map(|token| match token {
        TokenTree::Group(group) => Some(group),
        _ => None,
    });
    let first = group.and_then(|group| group.stream().into_iter().next());
    matches!(first, Some(TokenTree::Ident(first)) if first == "__METRICS_SITE")
}

/// Emits the block with its instrumented methods.
pub(super) fn block(Block { shell, items }: &Block) -> TokenStream {
    let items = items.iter().map(|item| match item {
        Item::Kept(item) => item.to_token_stream(),
        Item::Method(method) => instrument(method),
    });
    let items = quote! { #(#items)* };
    // The last token of the shell is the braced group, which contains only inner attributes.
    let fill = |token| match token {
        TokenTree::Group(braces) if braces.delimiter() == Delimiter::Brace => {
            let mut content = braces.stream();
            content.extend(items.clone());
            TokenTree::Group(function::with_stream(&braces, content))
        }
        other => other,
    };
    let mut tokens: Vec<TokenTree> = shell.to_token_stream().into_iter().collect();
    if let Some(braces) = tokens.pop() {
        tokens.push(fill(braces));
    }
    tokens.into_iter().collect()
}

fn private(krate: Option<&Path>, span: Span) -> TokenStream {
    let span = Span::call_site().located_at(span);
    match krate {
        Some(krate) => quote_spanned! {span=> #krate::__private },
        None => quote_spanned! {span=> ::metrics_core::__private },
    }
}

/// Emits the `Site` static, which holds everything known before any call. The macro `site!` defines it as an element of
/// the list that the linker collects.
fn site(args: &Args, function: &Function, private: &TokenStream) -> TokenStream {
    let span = Span::call_site().located_at(function.sig.ident.span());
    let name = syn::ext::IdentExt::unraw(&function.sig.ident).to_string();
    let parts = parts(args, function, private);
    quote_spanned! {span=>
        #private::site!(__METRICS_SITE, #name, &[#(#private::Part::#parts),*]);
    }
}

/// Returns the labels and options, as variants of `Part`.
fn parts(args: &Args, function: &Function, private: &TokenStream) -> Vec<TokenStream> {
    let mut parts = Vec::new();
    if args.is_named_by_function() {
        parts.push(quote! { NamedBy(|| ::core::any::type_name_of_val(&|| {})) });
    }
    for label in &args.labels {
        let name = &label.name;
        parts.push(match &label.value {
            LabelValue::Fixed(value) => quote! { FixedLabel(#name, #value) },
            LabelValue::Call(call) => label_part("Label", name, call.known.as_ref(), private),
            LabelValue::Result(result) => label_part("ResultLabel", name, result.known.as_ref(), private),
            LabelValue::Kind(kind) => kind_part(name, kind, function, private),
        });
    }
    if function.is_cancellable() && args.cancelled.is_none() {
        parts.push(quote! { Cancellable });
    }
    if let Some(prefix) = &args.prefix {
        parts.push(quote! { Prefix(#prefix) });
    }
    for (option, family) in families(args) {
        let variant = match option {
            "latency" => "Latency",
            "exceptions" => "Exceptions",
            "cancelled" => "Cancelled",
            _ => "InFlight",
        };
        parts.push(if family.per_call {
            let variant = quote::format_ident!("{variant}PerCall");
            quote! { #variant }
        } else {
            let (variant, function) = (quote::format_ident!("{variant}"), feed(option, args));
            let value = &family.value;
            let fed = checked(value, &quote! { #private::#function }, &borrowed(value));
            quote! { #variant(|| #fed) }
        });
    }
    if let Some(InFlight::Default) = args.in_flight {
        parts.push(quote! { InFlightDefault });
    }
    if args.histogram {
        parts.push(quote! { Histogram });
    }
    if let Some(quantiles) = &args.quantiles {
        parts.push(quote! { Quantiles(&[#(#quantiles),*]) });
    }
    if let Some(bounds) = &args.buckets {
        parts.push(quote! { Buckets(&[#(#bounds),*]) });
    }
    if let Some(max_series) = args.max_series {
        let max_series = proc_macro2::Literal::usize_unsuffixed(max_series);
        parts.push(quote! { MaxSeries(#max_series) });
    }
    parts
}

fn label_part(variant: &str, name: &str, known: Option<&Known>, private: &TokenStream) -> TokenStream {
    let Some(Known { values, open }) = known else {
        let variant = quote::format_ident!("{variant}");
        return quote! { #variant(#name) };
    };
    let variant = quote::format_ident!("{variant}In{}", if *open { "Open" } else { "" });
    let values = checked(values, &quote! { #private::values }, &quote! { #values });
    quote! { #variant(#name, || #values) }
}

/// Returns the label for error kinds. If a static can name the error's type, the type supplies the list of kinds.
fn kind_part(name: &str, kind: &Kind, function: &Function, private: &TokenStream) -> TokenStream {
    match (&kind.known, &kind.value, ty::of_error(function)) {
        (None, None, Some(result)) => {
            let kinds = quote! { #private::KindsOf::<#result>::new().kinds() };
            quote! { KindLabelInOpen(#name, || #kinds) }
        }
        (known, _, _) => label_part("KindLabel", name, known.as_ref(), private),
    }
}

/// Returns the families specified in options, each with its option's name.
fn families(args: &Args) -> impl Iterator<Item = (&'static str, &Family)> {
    let in_flight = match &args.in_flight {
        Some(InFlight::Family(family)) => Some(family),
        Some(InFlight::Default) | None => None,
    };
    [
        ("latency", args.latency.as_ref()),
        ("exceptions", args.exceptions.as_ref()),
        ("cancelled", args.cancelled.as_ref()),
        ("in_flight", in_flight),
    ]
    .into_iter()
    .filter_map(|(option, family)| Some((option, family?)))
}

/// Returns the function or method that accepts this option's family and checks the family's number of labels.
fn feed(option: &str, args: &Args) -> TokenStream {
    let count = |is_one: fn(&LabelValue) -> bool| args.labels.iter().filter(|label| is_one(&label.value)).count();
    let results = count(|value| matches!(value, LabelValue::Result(_)));
    let kinds = count(|value| matches!(value, LabelValue::Kind(_)));
    let begun = args.labels.len() - results - kinds + usize::from(args.is_named_by_function());
    let labels = match option {
        "latency" => begun + results,
        "exceptions" => begun + results + kinds,
        "cancelled" if results > 0 => return quote! { cancelled_with_results },
        _ => begun,
    };
    let (function, unlabeled) = (quote::format_ident!("{option}"), args.labels.is_empty());
    let labels = proc_macro2::Literal::usize_unsuffixed(labels);
    quote! { #function::<#labels, #unlabeled, _> }
}

/// Emits a reference to the family.
fn borrowed(family: &Expr) -> TokenStream {
    let (span, operand) = (at(family), operand(family));
    quote_spanned! {span=> &#operand }
}

/// Emits the expression, in parentheses if it needs them before a method call or after an operator.
fn operand(expr: &Expr) -> TokenStream {
    let span = at(expr);
    match expr {
        Expr::Array(_)
        | Expr::Call(_)
        | Expr::Field(_)
        | Expr::Group(_)
        | Expr::Index(_)
        | Expr::Lit(_)
        | Expr::Macro(_)
        | Expr::MethodCall(_)
        | Expr::Paren(_)
        | Expr::Path(_) => expr.to_token_stream(),
        _ => quote_spanned! {span=> (#expr) },
    }
}

/// Returns a span at the user's expression, for tokens whose types depend on that expression.
fn at(expr: &Expr) -> Span {
    Span::call_site().located_at(expr.span())
}

/// Emits a call to `function` with the span of the user's expression, so that the compiler reports type errors there.
fn checked(expr: &Expr, function: &TokenStream, argument: &TokenStream) -> TokenStream {
    checked_at(expr.span(), function, argument)
}

fn checked_at(place: Span, function: &TokenStream, argument: &TokenStream) -> TokenStream {
    let function: TokenStream = function
        .clone()
        .into_iter()
        .map(|mut token| {
            token.set_span(token.span().located_at(place));
            token
        })
        .collect();
    let span = Span::call_site().located_at(place);
    quote_spanned! {span=> #function(#argument) }
}

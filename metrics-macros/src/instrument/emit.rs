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

/// Returns true if [`instrument`] has emitted this body.
pub(super) fn is_emitted(body: &TokenStream) -> bool {
    let mut tokens = body.clone().into_iter();
    matches!((tokens.next(), tokens.next()), (Some(TokenTree::Ident(first)), Some(TokenTree::Ident(second)))
        if first == "fn" && second == "__metrics_declaration")
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

/// Emits the function that declares everything known before any call, and the `Site` static, which the linker collects.
fn site(args: &Args, function: &Function, private: &TokenStream) -> TokenStream {
    let span = Span::call_site().located_at(function.sig.ident.span());
    let name = syn::ext::IdentExt::unraw(&function.sig.ident).to_string();
    let options = site_options(args, function, private);
    quote_spanned! {span=>
        fn __metrics_declaration() -> #private::Declaration {
            #private::Declaration::new(::core::module_path!(), #name) #options
        }
        #private::site!(__METRICS_SITE, __metrics_declaration);
    }
}

fn site_options(args: &Args, function: &Function, private: &TokenStream) -> TokenStream {
    let mut options = TokenStream::new();
    if args.is_named_by_function() {
        options.extend(quote! { .named_by(&__metrics_declaration) });
    }
    for label in &args.labels {
        let name = &label.name;
        options.extend(match &label.value {
            LabelValue::Fixed(value) => quote! { .fixed_label(#name, #value) },
            LabelValue::Call(call) => label_option("label", name, call.known.as_ref(), private),
            LabelValue::Result(result) => label_option("result_label", name, result.known.as_ref(), private),
            LabelValue::Kind(kind) => kind_option(name, kind, function, private),
        });
    }
    if function.is_cancellable() && args.cancelled.is_none() {
        options.extend(quote! { .cancellable() });
    }
    if let Some(prefix) = &args.prefix {
        options.extend(quote! { .prefix(#prefix) });
    }
    for (option, family) in families(args) {
        let value = &family.value;
        if family.per_call {
            let method = quote::format_ident!("{option}_per_call");
            options.extend(quote! { .#method() });
        } else {
            let (method, function) = (quote::format_ident!("{option}"), feed(option, args));
            let fed = checked(value, &quote! { #private::#function }, &borrowed(value));
            options.extend(quote! { .#method(|| #fed) });
        }
    }
    if let Some(InFlight::Default) = args.in_flight {
        options.extend(quote! { .in_flight_default() });
    }
    if args.histogram {
        options.extend(quote! { .histogram() });
    }
    if let Some(quantiles) = &args.quantiles {
        options.extend(quote! { .quantiles(&[#(#quantiles),*]) });
    }
    if let Some(bounds) = &args.buckets {
        options.extend(quote! { .buckets(&[#(#bounds),*]) });
    }
    if let Some(max_series) = args.max_series {
        let max_series = proc_macro2::Literal::usize_unsuffixed(max_series);
        options.extend(quote! { .max_series(#max_series) });
    }
    options
}

fn label_option(option: &str, name: &str, known: Option<&Known>, private: &TokenStream) -> TokenStream {
    let Some(Known { values, open }) = known else {
        let method = quote::format_ident!("{option}");
        return quote! { .#method(#name) };
    };
    let method = quote::format_ident!("{option}_in{}", if *open { "_open" } else { "" });
    let values = checked(values, &quote! { #private::values }, &quote! { #values });
    quote! { .#method(#name, || #values) }
}

/// Emits the label for error kinds. If a static can name the error's type, the type supplies the list of kinds.
fn kind_option(name: &str, kind: &Kind, function: &Function, private: &TokenStream) -> TokenStream {
    match (&kind.known, &kind.value, ty::of_error(function)) {
        (None, None, Some(result)) => {
            let kinds = quote! { #private::KindsOf::<#result>::new().kinds() };
            quote! { .kind_label_in_open(#name, || #kinds) }
        }
        (known, _, _) => label_option("kind_label", name, known.as_ref(), private),
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

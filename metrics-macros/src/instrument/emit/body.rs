//! Emits the statements that begin a call, run the body, and record the outcome.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};

use super::super::function::with_stream;
use super::super::model::{Args, Function, LabelValue, Made, Pinned, ReturnedFuture};
use super::super::ty;
use super::{at, borrowed, captures, checked, checked_at, families, feed, operand, rebound};

pub(super) fn of(args: &Args, function: &Function, private: &TokenStream) -> TokenStream {
    let output = ty::nameable(&function.sig.output);
    match (&output, &function.future) {
        (Some(_), None) if is_plain_closure(args, function) => returning_closure(args, function, private),
        (Some(output), Some(future)) => returning_future(args, function, future, output, private),
        (Some(output), None) => returning(args, function, output, private),
        (None, _) => never_returning(args, function, private),
    }
}

fn returning(args: &Args, function: &Function, output: &syn::Type, private: &TokenStream) -> TokenStream {
    let start = begin_now(args, function, private);
    let captures = captures::in_order(function);
    let rebound = rebound::statements(function);
    let span = span(function);
    let output = ty::restated(output.to_token_stream());
    let run = if function.is_async() {
        let body = behind_statements(function);
        quote_spanned! {span=>
            run_async(async move {
                if false {
                    #captures
                    return #private::output::<#output>();
                }
                #rebound
                #body
            }).await
        }
    } else {
        let captures = captures.map(|captures| quote_spanned! {span=> if false { #captures } });
        let block = block(function, &quote! { #captures #rebound }, span);
        quote_spanned! {span=> run(move || -> #output #block) }
    };
    let ending = ending(args, &quote_spanned! {span=> &__metrics_out }, span, private);
    quote_spanned! {span=>
        let __metrics_call = #start;
        let __metrics_out = __metrics_call.#run;
        __metrics_call.finish(#ending);
        __metrics_out
    }
}

/// Emits the body as a block that begins with the statements in `before`.
fn block(function: &Function, before: &TokenStream, span: Span) -> TokenStream {
    if before.is_empty() {
        return function.block.to_token_stream();
    }
    let body = behind_statements(function);
    quote_spanned! {span=> { #before #body } }
}

/// Emits the body in the user's own braces, which the compiler's parser and lints check. Omits these braces if the
/// body has no tail expression, so that the compiler reports a missing value at the surrounding braces, which have
/// the return type's span.
fn behind_statements(function: &Function) -> TokenStream {
    match function.body.clone().into_iter().last() {
        None => TokenStream::new(),
        Some(TokenTree::Punct(last)) if last.as_char() == ';' => function.body.clone(),
        Some(_) => function.block.to_token_stream(),
    }
}

/// Returns true if a non-`async` function returns `impl Fn` and no option inspects the return value.
fn is_plain_closure(args: &Args, function: &Function) -> bool {
    let is_looked_at = args.exception_if.is_some() || args.has_late_labels();
    !function.is_async() && !is_looked_at && ty::is_closure(&function.sig.output)
}

/// Emits the body directly in the function. If the body were inside another closure, the compiler could not infer the
/// argument types of the returned closure from the return type.
fn returning_closure(args: &Args, function: &Function, private: &TokenStream) -> TokenStream {
    let start = begin_now(args, function, private);
    let (span, block) = (span(function), &function.block);
    quote_spanned! {span=>
        let __metrics_call = #start.until_dropped();
        #block
    }
}

/// Emits the body of a function that never returns, with no statements after the body. Dropping the guard ends the
/// call.
fn never_returning(args: &Args, function: &Function, private: &TokenStream) -> TokenStream {
    let start = begin_now(args, function, private);
    let (span, block) = (span(function), &function.block);
    if function.is_async() {
        quote_spanned! {span=>
            let __metrics_call = #start;
            __metrics_call.run_never(async move #block).await;
        }
    } else {
        quote_spanned! {span=>
            let __metrics_call = #start;
            #block
        }
    }
}

/// Emits code that measures the returned future rather than the function that creates the future.
fn returning_future(
    args: &Args,
    function: &Function,
    future: &ReturnedFuture,
    returned: &syn::Type,
    private: &TokenStream,
) -> TokenStream {
    let method = if has_only_fixed(args) {
        quote! { prepare_async }
    } else {
        quote! { prepare }
    };
    let prepare = begin(args, &method, private);
    let span = span(function);
    let ending = ending(args, &quote_spanned! {span=> __metrics_out }, span, private);
    let of = match (returned, &future.output) {
        // Names the output type, because the `_` that replaces an opaque return type does not determine it.
        (syn::Type::Infer(_), Some(output)) => quote_spanned! {span=> : &#output },
        _ => TokenStream::new(),
    };
    let ending = quote_spanned! {span=> move |__metrics_out #of| #ending };
    let measured = match &future.made {
        Made::Block { before, keywords, block } => {
            let edge = future.output.as_ref().map(|output| {
                quote_spanned! {span=>
                    if false {
                        return #private::output::<#output>();
                    }
                }
            });
            // Keeps the span of the braces, whose edition determines when temporaries are dropped.
            let stream = block.stream();
            let block = with_stream(block, quote! { #edge #stream });
            let block = quote! { #keywords #block };
            let rebound = rebound::statements(function);
            if before.is_empty() {
                quote_spanned! {span=> #private::measure(__metrics_call, #block, #ending) }
            } else {
                quote_spanned! {span=> #private::create(__metrics_call, move || { #rebound #before #block }, #ending) }
            }
        }
        Made::Body => {
            let rebound = rebound::statements(function);
            let captures = captures::in_order(function).map(|captures| quote_spanned! {span=> if false { #captures } });
            let returned = (!matches!(returned, syn::Type::Infer(_))).then(|| {
                let returned = ty::restated(returned.to_token_stream());
                quote_spanned! {span=> -> #returned }
            });
            let block = block(function, &quote! { #captures #rebound }, span);
            let make = quote_spanned! {span=> move || #returned #block };
            quote_spanned! {span=> #private::create(__metrics_call, #make, #ending) }
        }
    };
    let pinned = match &future.pinned {
        Pinned::No => measured,
        Pinned::By(pin) => quote! { #pin(#measured) },
        Pinned::Yes => quote_spanned! {span=> #private::Box::pin(#measured) },
    };
    quote_spanned! {span=>
        let __metrics_call = #prepare;
        #pinned
    }
}

/// Returns the span for the wrapper's tokens. The span is located at the return type, so that the compiler reports a
/// missing value there. It is hygienic, so that the wrapper's variables do not clash with the arguments.
fn span(function: &Function) -> Span {
    Span::mixed_site().located_at(function.output_span())
}

/// Emits the expression that begins a call now: `start` for plain calls and calls with late labels, `start_async` for
/// `async` calls whose labels and families are fixed and that are not counted in flight, and `start_tracked` for all
/// others.
fn begin_now(args: &Args, function: &Function, private: &TokenStream) -> TokenStream {
    let is_tracked = function.is_async() || args.in_flight.is_some();
    let method = if !is_tracked || args.has_late_labels() {
        quote! { start }
    } else if has_only_fixed(args) {
        quote! { start_async }
    } else {
        quote! { start_tracked }
    };
    begin(args, &method, private)
}

/// Returns true if all calls have the same labels and families and are not counted in flight. The guard of an `async`
/// call then needs only the site.
fn has_only_fixed(args: &Args) -> bool {
    args.labels.iter().all(|label| matches!(label.value, LabelValue::Fixed(_)))
        && args.in_flight.is_none()
        && !families(args).any(|(_, family)| family.per_call)
}

/// Emits the expression that begins a call; `method` is `start`, `start_async`, `start_tracked`, `prepare` or
/// `prepare_async`.
fn begin(args: &Args, method: &TokenStream, private: &TokenStream) -> TokenStream {
    let mut values = Vec::new();
    for label in &args.labels {
        if let LabelValue::Call(call) = &label.value {
            let (span, operand) = (at(&call.value), operand(&call.value));
            values.push(checked(&call.value, &quote! { #private::label }, &quote_spanned! {span=> &#operand }));
        }
    }
    let mut per_call = families(args).filter(|(_, family)| family.per_call).peekable();
    let by_result = args.has_late_labels().then(|| quote! { .by_result() });
    if per_call.peek().is_some() {
        let named =
            per_call.map(|(option, family)| checked(&family.value, &feed(option, args), &borrowed(&family.value)));
        quote! { __METRICS_SITE.enter_with() #(.#named)* #by_result.#method([#(#values),*]) }
    } else if values.is_empty() && by_result.is_none() {
        quote! { __METRICS_SITE.#method() }
    } else {
        quote! { __METRICS_SITE.enter() #by_result.#method([#(#values),*]) }
    }
}

/// Emits a closure of the attribute. A path would be a label from the arguments, so lints must not suggest one.
fn closure(value: &impl ToTokens) -> TokenStream {
    quote! { #[allow(clippy::redundant_closure, clippy::redundant_closure_for_method_calls)] #value }
}

/// Emits the expression for a call's outcome; `returned` evaluates to a reference to the return value.
fn ending(args: &Args, returned: &TokenStream, span: Span, private: &TokenStream) -> TokenStream {
    let is_exception = match &args.exception_if {
        Some(rule) => quote_spanned! {span=> #private::exception_if(#returned, #rule) },
        None => quote_spanned! {span=> #private::Returned(#returned).is_exception() },
    };
    if !args.has_late_labels() {
        return is_exception;
    }
    let (mut results, mut kind) = (Vec::new(), None);
    for label in &args.labels {
        match &label.value {
            LabelValue::Fixed(_) | LabelValue::Call(_) => {}
            LabelValue::Result(result) => {
                let value = &result.value;
                let of_result = quote! { #private::of_result };
                let closure = closure(value);
                results.push(checked(value, &of_result, &quote! { #returned, #closure }));
            }
            LabelValue::Kind(of) => {
                let given = match &of.value {
                    Some(value) => {
                        let closure = closure(value);
                        checked(value, &quote! { #private::kind_of }, &quote! { #returned, #closure })
                    }
                    None => checked_at(of.span, &quote! { #private::kind }, returned),
                };
                kind = Some(quote! { .kind(#given) });
            }
        }
    }
    let ending = quote_spanned! {span=> #private::Ending::new(#is_exception, [#(#results),*]) };
    quote! { #ending #kind }
}

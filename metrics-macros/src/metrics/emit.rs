//! The implementation as tokens. Cannot fail: all mistakes were found before.

use proc_macro2::{Literal, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::Type;
use syn::spanned::Spanned;

use super::{Field, FieldKind, Group, Label, Metric};

pub(super) fn group(group: &Group) -> TokenStream {
    let Group { name, prefix, .. } = group;
    let krate = group.krate.as_ref().map_or_else(|| quote! { ::metrics_core }, |krate| quote! { #krate });
    let const_labels = pairs(&group.const_labels);
    let checks = group.fields.iter().filter_map(|field| check(field, group, &krate));
    let fields = group.fields.iter().map(|field| declare(field, &krate));
    let functions = functions(group, &krate);
    let accessors = group.fields.iter().filter_map(|field| accessor(field, prefix, &krate));
    quote! {
        #[automatically_derived]
        impl #krate::MetricGroup for #name {
            fn declare(scope: &mut #krate::Scope<'_>) -> Self {
                #(#checks)*
                scope.within(#prefix, &[#(#const_labels),*], |scope| Self { #(#fields),* })
            }
        }

        impl #name {
            #functions
            #(#accessors)*
        }
    }
}

/// What the compiler checks of a name once it knows the type.
fn check(Field { ident, ty, kind, .. }: &Field, group: &Group, krate: &TokenStream) -> Option<TokenStream> {
    let FieldKind::Metric(Metric { name, labels, buckets, allowed, .. }) = kind else { return None };
    let krate = &located(krate, ident.span());
    let has_buckets = buckets.is_some();
    let name = exported(&group.prefix, name);
    let field = as_field(ty, labels, krate);
    let span = Span::call_site().located_at(ident.span());
    let allowed = quote! { &[#(#krate::StyleRule::#allowed),*] };
    let style = group.strict.then(|| {
        quote_spanned! {span=> const _: () = #krate::__private::check_style(#field::KIND, #name, #allowed); }
    });
    Some(quote_spanned! {span=>
        const _: () = #krate::__private::check_name(#field::KIND, #name, #has_buckets, #allowed);
        #style
    })
}

/// The type as a field with these labels.
///
/// All tokens together stand where the type stands, so that a type that is no such field is reported once and there.
fn as_field(ty: &Type, labels: &[Label], krate: &TokenStream) -> TokenStream {
    let mut spans = ty.to_token_stream().into_iter().map(|token| token.span());
    let first = spans.next().unwrap_or_else(Span::call_site);
    let last = spans.last().unwrap_or(first);
    let krate = located(krate, last);
    let open = quote_spanned! {first=> < };
    let field = match labels.len() {
        0 => quote_spanned! {last=> #krate::MetricField },
        count => quote_spanned! {last=> #krate::LabelledField<#count> },
    };
    quote_spanned! {last=> #open #ty as #field> }
}

fn declare(Field { ident, ty, kind, .. }: &Field, krate: &TokenStream) -> TokenStream {
    let metric = match kind {
        FieldKind::Flatten => return quote! { #ident: scope.group() },
        FieldKind::Metric(metric) => metric,
    };
    let Metric { name, help, labels, .. } = metric;
    let metric_field = as_field(ty, labels, krate);
    let span = Span::call_site().located_at(ident.span());
    let krate = &located(krate, ident.span());
    let mut field = quote_spanned! {span=> #krate::__private::Field::new(#name, #help) };
    if let Some(unit) = &metric.unit {
        field.extend(quote! { .unit(#unit) });
    }
    if let Some(bounds) = &metric.buckets {
        field.extend(quote! { .buckets(&[#(#bounds),*]) });
    }
    if let Some(max_series) = metric.max_series {
        let max_series = Literal::usize_unsuffixed(max_series);
        field.extend(quote! { .max_series(#max_series) });
    }
    if !metric.allowed.is_empty() {
        let allowed = &metric.allowed;
        field.extend(quote! { .allow(&[#(#krate::StyleRule::#allowed),*]) });
    }
    if !metric.const_labels.is_empty() {
        let const_labels = pairs(&metric.const_labels);
        field.extend(quote! { .const_labels(&[#(#const_labels),*]) });
    }
    if labels.is_empty() {
        return quote! { #ident: #metric_field::declare(scope.field(#field)) };
    }
    let labels = labels.iter().map(|Label { name, ty, .. }| {
        let (span, krate) = (Span::call_site().located_at(ty.span()), located(krate, ty.span()));
        quote_spanned! {span=> (#name, <#ty as #krate::LabelValue>::VALUES) }
    });
    quote! { #ident: #metric_field::declare(scope.labelled_field(#field, &[#(#labels),*])) }
}

fn functions(Group { vis, name, global, .. }: &Group, krate: &TokenStream) -> TokenStream {
    let global = global.then(|| {
        quote! {
            /// The metrics in the global registry, brought up by the first call or the first scrape.
            #vis fn global() -> &'static Self {
                static __METRICS_GLOBAL: #krate::__private::Global<#name> = #krate::__private::Global::new();
                #krate::__private::site!(__METRICS_GLOBAL);
                __METRICS_GLOBAL.get()
            }
        }
    });
    quote! {
        /// Registers all metrics in the global registry. What cannot be registered counts all the same, and is listed
        /// by `Registry::check`.
        #[must_use]
        #[allow(dead_code)]
        #vis fn register() -> Self {
            #krate::__private::register()
        }

        /// Registers all metrics in `registry`.
        ///
        /// # Errors
        ///
        /// Where one of them is invalid or its name is taken; then none of them is registered.
        #[allow(dead_code)]
        #vis fn register_in(registry: &#krate::Registry) -> ::core::result::Result<Self, #krate::Error> {
            #krate::__private::register_in(registry)
        }

        #global
    }
}

/// The function that gives one series of a field with labels.
fn accessor(Field { vis, ident, ty, kind }: &Field, prefix: &str, krate: &TokenStream) -> Option<TokenStream> {
    let FieldKind::Metric(Metric { name, help, labels, .. }) = kind else { return None };
    if labels.is_empty() {
        return None;
    }
    let field = as_field(ty, labels, krate);
    let name = exported(prefix, name);
    let names: Vec<&str> = labels.iter().map(|label| label.name.as_str()).collect();
    let exported = format!("One series of `{name}`, by `{}`.", names.join("`, `"));
    let parameters = labels.iter().map(|Label { ident, ty, .. }| quote! { #ident: #ty });
    let values = labels.iter().map(|Label { ident, ty, .. }| {
        let (span, krate) = (Span::call_site().located_at(ty.span()), located(krate, ty.span()));
        quote_spanned! {span=> <#ty as #krate::LabelValue>::label(&#ident) }
    });
    let span = ty.to_token_stream().into_iter().last().map_or_else(Span::call_site, |token| token.span());
    let metric = quote_spanned! {span=> #field::Metric };
    let series = quote_spanned! {span=> #field::series };
    Some(quote! {
        #[doc = #help]
        #[doc = ""]
        #[doc = #exported]
        #[allow(dead_code)]
        #vis fn #ident(&self, #(#parameters),*) -> #metric {
            #series(&self.#ident, [#(#values),*])
        }
    })
}

/// The tokens, for what is reported at this place.
fn located(tokens: &TokenStream, span: Span) -> TokenStream {
    let locate = |mut token: TokenTree| {
        token.set_span(token.span().located_at(span));
        token
    };
    tokens.clone().into_iter().map(locate).collect()
}

/// The name as it is exported where the struct stands alone.
fn exported(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}_{name}") }
}

fn pairs(labels: &[(String, String)]) -> impl Iterator<Item = TokenStream> + '_ {
    labels.iter().map(|(name, value)| quote! { (#name, #value) })
}

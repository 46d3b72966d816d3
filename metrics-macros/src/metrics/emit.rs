//! The implementation as tokens. Cannot fail: all mistakes were found before.

use proc_macro2::{Literal, Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};
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
    let of = field_trait(labels, ty.span(), krate);
    let span = Span::call_site().located_at(ident.span());
    let allowed = quote! { &[#(#krate::StyleRule::#allowed),*] };
    let style = group.strict.then(|| {
        quote_spanned! {span=> const _: () = #krate::__private::check_style(<#ty as #of>::KIND, #name, #allowed); }
    });
    Some(quote_spanned! {span=>
        const _: () = #krate::__private::check_name(<#ty as #of>::KIND, #name, #has_buckets, #allowed);
        #style
    })
}

fn field_trait(labels: &[Label], span: Span, krate: &TokenStream) -> TokenStream {
    let krate = located(krate, span);
    let span = Span::call_site().located_at(span);
    match labels.len() {
        0 => quote_spanned! {span=> #krate::MetricField },
        count => quote_spanned! {span=> #krate::LabelledField<#count> },
    }
}

fn declare(Field { ident, ty, kind, .. }: &Field, krate: &TokenStream) -> TokenStream {
    let metric = match kind {
        FieldKind::Flatten => return quote! { #ident: scope.group() },
        FieldKind::Metric(metric) => metric,
    };
    let Metric { name, help, labels, .. } = metric;
    let of = field_trait(labels, ty.span(), krate);
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
        return quote! { #ident: <#ty as #of>::declare(scope.field(#field)) };
    }
    let labels = labels.iter().map(|Label { name, ty, .. }| {
        let (span, krate) = (Span::call_site().located_at(ty.span()), located(krate, ty.span()));
        quote_spanned! {span=> (#name, <#ty as #krate::LabelValue>::VALUES) }
    });
    quote! { #ident: <#ty as #of>::declare(scope.labelled_field(#field, &[#(#labels),*])) }
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
    let of = field_trait(labels, ty.span(), krate);
    let name = exported(prefix, name);
    let names: Vec<&str> = labels.iter().map(|label| label.name.as_str()).collect();
    let exported = format!("One series of `{name}`, by `{}`.", names.join("`, `"));
    let parameters = labels.iter().map(|Label { ident, ty, .. }| quote! { #ident: #ty });
    let values = labels.iter().map(|Label { ident, ty, .. }| {
        let (span, krate) = (Span::call_site().located_at(ty.span()), located(krate, ty.span()));
        quote_spanned! {span=> <#ty as #krate::LabelValue>::label(&#ident) }
    });
    let span = Span::call_site().located_at(ty.span());
    let metric = quote_spanned! {span=> <#ty as #of>::Metric };
    let series = quote_spanned! {span=> <#ty as #of>::series(&self.#ident, [#(#values),*]) };
    Some(quote! {
        #[doc = #help]
        #[doc = ""]
        #[doc = #exported]
        #[allow(dead_code)]
        #vis fn #ident(&self, #(#parameters),*) -> #metric {
            #series
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

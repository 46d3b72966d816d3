//! Emits the `MetricGroup` implementation and the struct's methods. Emission cannot fail, because parsing has already
//! found all mistakes.

use proc_macro2::{Ident, Literal, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, LitStr, Type};

use super::{ConstLabel, Field, FieldKind, Group, Help, Label, Metric};

pub(super) fn group(group: &Group) -> TokenStream {
    let Group { name, prefix, .. } = group;
    let krate = group.krate.as_ref().map_or_else(|| quote! { ::metrics_core }, |krate| quote! { #krate });
    let (generics, arguments, bounds) = group.generics.split_for_impl();
    let const_labels = pairs(&group.const_labels);
    let checks = group.fields.iter().filter_map(|field| check(field, group, &krate));
    let fields = group.fields.iter().filter_map(|field| declare(field, group, &krate));
    let declared = if group.broken {
        quote! { ::core::unimplemented!() }
    } else {
        quote! { __metrics_scope.within(#prefix, &[#(#const_labels),*], |__metrics_scope| Self { #(#fields),* }) }
    };
    let functions = functions(group, &krate);
    let accessors = group.fields.iter().filter_map(|field| accessor(field, group, &krate));
    quote! {
        #[automatically_derived]
        impl #generics #krate::MetricGroup for #name #arguments #bounds {
            fn declare(__metrics_scope: &mut #krate::Scope<'_>) -> Self {
                #(#checks)*
                #declared
            }
        }

        impl #generics #name #arguments #bounds {
            #functions
            #(#accessors)*
        }
    }
}

/// Emits constants that check the name, and the help text if it contains macros.
///
/// The derive itself cannot check them: the rules for the name depend on the metric's type, and only the compiler
/// expands macros.
fn check(Field { ident, ty, kind, .. }: &Field, group: &Group, krate: &TokenStream) -> Option<TokenStream> {
    let FieldKind::Metric(Metric { name, help, labels, buckets, quantiles, native, allowed, .. }) = kind else {
        return None;
    };
    // A constant cannot refer to a type parameter.
    let can_be_constant = group.generics.params.is_empty();
    let krate = &located(krate, ident.span());
    let needed = match (buckets.is_some() || *native, quantiles.is_some()) {
        (true, _) => quote! { ::core::option::Option::Some(#krate::Kind::Histogram) },
        (false, true) => quote! { ::core::option::Option::Some(#krate::Kind::Summary) },
        (false, false) => quote! { ::core::option::Option::None },
    };
    let name = group.exported(name);
    let field = as_field(ty, labels, krate);
    let span = Span::call_site().located_at(ident.span());
    let check = if group.strict {
        quote! { check_name_and_style }
    } else {
        quote! { check_name }
    };
    let check = located(&check, ident.span());
    let check_help = match help {
        Help::Docs(docs) => {
            let docs = joined(docs);
            Some(quote_spanned! {span=> const _: () = #krate::__private::check_help(#docs); })
        }
        Help::Text(_) | Help::Given(_) => None,
    };
    can_be_constant.then(|| {
        quote_spanned! {span=>
            const _: () = #krate::__private::#check(#field::KIND, #name, #needed, &[#(#krate::StyleRule::#allowed),*]);
            #check_help
        }
    })
}

/// Emits `<Type as Trait>` with the trait for a field that has these labels.
fn as_field(ty: &Type, labels: &[Label], krate: &TokenStream) -> TokenStream {
    let span = end(ty);
    match labels.len() {
        0 => as_trait(ty, &quote_spanned! {span=> MetricField }, krate),
        count => as_trait(ty, &quote_spanned! {span=> LabeledField<#count> }, krate),
    }
}

/// Emits `<Type as Trait>` with a trait from `metrics-core`.
///
/// All tokens have the span of the type, so that the compiler reports a missing implementation once, at the type.
fn as_trait(ty: &Type, name: &TokenStream, krate: &TokenStream) -> TokenStream {
    let first = ty.to_token_stream().into_iter().next().map_or_else(Span::call_site, |token| token.span());
    let (open, krate) = (quote_spanned! {first=> < }, located(krate, end(ty)));
    quote_spanned! {end(ty)=> #open #ty as #krate::#name> }
}

/// Returns the span of a type's last token.
fn end(ty: &Type) -> Span {
    ty.to_token_stream().into_iter().last().map_or_else(Span::call_site, |token| token.span())
}

fn declare(Field { ident, ty, kind, .. }: &Field, group: &Group, krate: &TokenStream) -> Option<TokenStream> {
    let declared = match kind {
        FieldKind::Metric(metric) => declare_metric(ty, metric, &field(ident, metric, group), krate),
        FieldKind::Flatten { prefix, const_labels } => {
            let group = as_trait(ty, &quote_spanned! {end(ty)=> MetricGroup }, krate);
            let scope = quote! { __metrics_scope };
            let declare = quote_spanned! {end(ty)=> #group::declare(#scope) };
            if prefix.is_empty() && const_labels.is_empty() {
                return Some(quote! { #ident: #declare });
            }
            let const_labels = pairs(const_labels);
            quote! { __metrics_scope.within(#prefix, &[#(#const_labels),*], |__metrics_scope| #declare) }
        }
        FieldKind::Broken => return None,
    };
    Some(quote! { #ident: #declared })
}

fn declare_metric(ty: &Type, metric: &Metric, field: &TokenStream, krate: &TokenStream) -> TokenStream {
    let as_field = as_field(ty, &metric.labels, krate);
    if metric.labels.is_empty() {
        return quote! { #as_field::declare(__metrics_scope.field(#field)) };
    }
    let labels = metric.labels.iter().map(|Label { name, ty, .. }| {
        let (span, krate, name) = (Span::call_site().located_at(ty.span()), located(krate, ty.span()), name.value());
        quote_spanned! {span=> (#name, <#ty as #krate::LabelValue>::VALUES) }
    });
    quote! { #as_field::declare(__metrics_scope.labeled_field(#field, &[#(#labels),*])) }
}

/// Emits a field's declaration with the options from its attributes.
///
/// The emitted call records its source location. The call has the field's span; otherwise, it would record the
/// location of the derive.
fn field(ident: &Ident, metric: &Metric, group: &Group) -> TokenStream {
    let (name, span) = (metric.name.value(), ident.span());
    let help = match &metric.help {
        Help::Text(text) => quote! { #text },
        Help::Docs(docs) => joined(docs),
        Help::Given(help) => help.clone(),
    };
    let krate = match &group.krate {
        Some(krate) => located(&krate.to_token_stream(), span),
        None => quote_spanned! {span=> ::metrics_core },
    };
    let mut field = quote_spanned! {span=> #krate::__private::FieldDeclaration::new(#name, #help) };
    if let Help::Docs(_) = metric.help {
        field.extend(quote! { .from_docs() });
    }
    if let Some(unit) = metric.unit.as_ref().map(LitStr::value) {
        field.extend(quote! { .unit(#unit) });
    }
    if let Some(bounds) = &metric.buckets {
        field.extend(quote! { .buckets(&[#(#bounds),*]) });
    }
    if let Some(quantiles) = &metric.quantiles {
        field.extend(quote! { .quantiles(&[#(#quantiles),*]) });
    }
    if metric.native {
        field.extend(quote! { .native() });
    }
    if let Some(max_series) = metric.max_series.map(Literal::usize_unsuffixed) {
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
    field
}

fn functions(Group { vis, name, global, .. }: &Group, krate: &TokenStream) -> TokenStream {
    let global = global.then(|| {
        quote! {
            /// Returns the metrics in the global registry.
            ///
            /// The first call initializes them. So does exposing the registry.
            #vis fn global() -> &'static Self {
                static __METRICS_GLOBAL: #krate::__private::Global<#name> = #krate::__private::Global::new();
                #krate::__private::declared!(__METRICS_GLOBAL);
                __METRICS_GLOBAL.get()
            }
        }
    });
    quote! {
        /// Registers all metrics in the global registry.
        ///
        /// A metric that cannot be registered still counts but is not exported. `Registry::check` reports it.
        #[must_use]
        #[allow(dead_code)]
        #vis fn register() -> Self {
            <Self as #krate::MetricGroup>::register()
        }

        /// Registers all metrics in this registry.
        ///
        /// # Errors
        ///
        /// Returns an error and registers nothing if a metric is invalid or its name is already in use.
        #[allow(dead_code)]
        #vis fn register_in(
            __metrics_registry: &#krate::Registry,
        ) -> ::core::result::Result<Self, #krate::Error> {
            <Self as #krate::MetricGroup>::register_in(__metrics_registry)
        }

        #global
    }
}

/// Emits the accessor for a labeled field's series.
fn accessor(Field { vis, ident, ty, kind }: &Field, group: &Group, krate: &TokenStream) -> Option<TokenStream> {
    let FieldKind::Metric(Metric { name, help, labels, .. }) = kind else { return None };
    if labels.is_empty() {
        return None;
    }
    let field = as_field(ty, labels, krate);
    let names: Vec<String> = labels.iter().map(|label| label.name.value()).collect();
    let (name, names) = (group.exported(name), names.join("`, `"));
    let docs = match help {
        Help::Text(text) => {
            let text = format!(" {text}");
            Some(quote! { #[doc = #text] #[doc = ""] })
        }
        Help::Docs(docs) => {
            let docs = joined(docs);
            Some(quote! { #[doc = #docs] #[doc = ""] })
        }
        // The derive cannot evaluate the expression.
        Help::Given(_) => None,
    };
    let series = format!(
        " Returns the series of `{name}` with these labels: `{names}`. A struct that flattens this one adds its prefix to the name."
    );
    let parameters = labels.iter().map(|Label { ident, ty, .. }| quote! { #ident: #ty });
    let values = labels.iter().map(|Label { ident, ty, .. }| {
        let (span, krate) = (Span::call_site().located_at(ty.span()), located(krate, ty.span()));
        quote_spanned! {span=> <#ty as #krate::LabelValue>::label(&#ident) }
    });
    let metric = quote_spanned! {end(ty)=> #field::Metric };
    let arguments = quote! { &self.#ident, [#(#values),*] };
    let get = quote_spanned! {end(ty)=> #field::series(#arguments) };
    Some(quote! {
        #docs
        #[doc = #series]
        #[allow(dead_code)]
        #vis fn #ident(&self, #(#parameters),*) -> #metric {
            #get
        }
    })
}

/// Moves the tokens to the location of `span`, so that the compiler reports their errors there.
fn located(tokens: &TokenStream, span: Span) -> TokenStream {
    let locate = |mut token: TokenTree| {
        token.set_span(token.span().located_at(span));
        token
    };
    tokens.clone().into_iter().map(locate).collect()
}

fn pairs(labels: &[ConstLabel]) -> impl Iterator<Item = TokenStream> + '_ {
    labels.iter().map(|ConstLabel { name, value }| {
        let name = name.value();
        quote! { (#name, #value) }
    })
}

/// Joins the lines of a doc comment into one constant expression.
fn joined(docs: &[Expr]) -> TokenStream {
    match docs {
        [only] => quote! { #only },
        docs => quote! { ::core::concat!(#(#docs, "\n"),*) },
    }
}

//! Emits the `LabelValue` implementation. Emission cannot fail, because parsing has already found all mistakes.

use proc_macro2::TokenStream;
use quote::quote;

use super::{ClosedSet, Named};

pub(super) fn closed_set(set: &ClosedSet) -> TokenStream {
    let ClosedSet { vis, name, variants, .. } = set;
    let (generics, arguments, bounds) = set.generics.split_for_impl();
    let krate = set.krate.as_ref().map_or_else(|| quote! { ::metrics_core }, |krate| quote! { #krate });
    let texts = variants.iter().map(|named| &named.text);
    let count = variants.len();
    let arms = variants.iter().enumerate().map(|(position, Named { variant, is_unit, .. })| {
        let data = (!is_unit).then(|| quote! { { .. } });
        quote! { Self::#variant #data => #position }
    });
    let label = if set.broken {
        quote! { ::core::unimplemented!() }
    } else {
        quote! { #krate::__private::closed(&Self::VALUES, match self { #(#arms),* }) }
    };
    quote! {
        impl #generics #name #arguments #bounds {
            /// The label values, in the order of the variants.
            #vis const VALUES: [&'static str; #count] = [#(#texts),*];
        }

        #[automatically_derived]
        impl #generics #krate::LabelValue for #name #arguments #bounds {
            const VALUES: ::core::option::Option<&'static [&'static str]> = ::core::option::Option::Some(&Self::VALUES);

            fn label(&self) -> #krate::Label<'_> {
                #label
            }
        }
    }
}

//! The macros of `metrics-core`, which re-exports and documents them.

mod errors;
mod instrument;
mod krate;
mod label_value;
mod literal;
mod metrics;
mod options;

use proc_macro::TokenStream;

// The macros are documented on their re-exports in `metrics-core`.
#[allow(missing_docs)]
#[proc_macro_attribute]
pub fn instrument(args: TokenStream, item: TokenStream) -> TokenStream {
    instrument::expand(args.into(), item.into()).into()
}

#[allow(missing_docs)]
#[proc_macro_derive(LabelValue, attributes(label))]
pub fn derive_label_value(input: TokenStream) -> TokenStream {
    label_value::expand(input.into()).into()
}

#[allow(missing_docs)]
#[proc_macro_derive(Metrics, attributes(metric, metrics))]
pub fn derive_metrics(input: TokenStream) -> TokenStream {
    metrics::expand(input.into()).into()
}

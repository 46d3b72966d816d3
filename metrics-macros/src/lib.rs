//! The attribute macros of `metrics-core`, which re-exports them and documents them there.

mod errors;
mod instrument;

use proc_macro::TokenStream;

// What it does is said where users meet it, on the re-export of `metrics-core`.
#[allow(missing_docs)]
#[proc_macro_attribute]
pub fn instrument(args: TokenStream, item: TokenStream) -> TokenStream {
    instrument::expand(args.into(), item.into()).into()
}

//! `#[instrument]`: parse the arguments and the function into plain structs, then emit.

mod args;
mod emit;
mod function;
mod future;
mod model;
mod scope;
mod ty;

#[cfg(test)]
mod snapshots;

use proc_macro2::TokenStream;

use crate::errors::Errors;

/// The annotated function, or the item as it is beside what is wrong.
pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    match parse(args, item.clone()) {
        Ok(Some(instrument)) => emit::instrument(&instrument),
        Ok(None) => item,
        Err(errors) => {
            let mut tokens = errors;
            tokens.extend(item);
            tokens
        }
    }
}

/// `None` where the function does not parse: the compiler tells why better, and needs the tokens for completion.
fn parse(args: TokenStream, item: TokenStream) -> Result<Option<model::Instrument>, TokenStream> {
    let mut errors = Errors::default();
    let function = match function::parse(item) {
        Ok(function) => function,
        Err(function::Unusable::Unparsed) => return Ok(None),
        Err(function::Unusable::NoFunction(error)) => {
            errors.add(error);
            return errors.finish(None);
        }
    };
    let args = args::parse(args, &function, &mut errors);
    errors.finish(args).map(|args| Some(model::Instrument { args, function }))
}

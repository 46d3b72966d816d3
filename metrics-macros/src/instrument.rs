//! `#[instrument]`: parses the arguments and the function into plain structs, then emits tokens.

mod args;
mod block;
mod emit;
mod function;
mod future;
mod generics;
mod model;
mod scope;
mod ty;

#[cfg(test)]
mod snapshots;

use proc_macro2::{Span, TokenStream};

use crate::errors::Errors;

/// Expands the annotated function or block. If there are mistakes, emits errors and the uninstrumented item.
pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let expanded = match block::find(&item) {
        Some(block) => block::parse(args, block, &mut errors).map(|block| emit::block(&block)),
        None => function(args, item.clone(), &mut errors),
    };
    match errors.finish(expanded) {
        Ok(expanded) => expanded,
        // `errors` is empty if the item does not parse. The item is emitted anyway, because the compiler explains
        // syntax errors better and code completion needs the tokens.
        Err(mut errors) => {
            errors.extend(block::without_attributes(item));
            errors
        }
    }
}

/// Expands an annotated function. Returns `None` if the function does not parse or cannot be instrumented.
fn function(args: TokenStream, item: TokenStream, errors: &mut Errors) -> Option<TokenStream> {
    match function::parse(item, None) {
        Ok(function) if emit::is_emitted(&function.body) => {
            errors.at(
                Span::call_site(),
                "this function has another `#[instrument]`, and each call would be counted twice: merge the two attributes",
            );
            None
        }
        Ok(function) => {
            let args = args::parse(args, &function, errors);
            Some(emit::instrument(&model::Instrument { args, function }))
        }
        Err(function::Unusable::Unparsed) => None,
        Err(function::Unusable::NoFunction(error)) => {
            errors.add(error);
            None
        }
    }
}

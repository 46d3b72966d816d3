//! `#[instrument]` on a whole `impl` block: each of its methods, with the options of both attributes.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Attribute, ImplItem, ItemImpl, Meta};

use super::args::{self, Arg};
use super::function;
use super::model::Instrument;
use crate::errors::Errors;

/// The items of a block, those that are annotated apart.
pub(super) struct Block {
    /// The block, without its items.
    pub(super) shell: ItemImpl,
    pub(super) items: Vec<Item>,
}

pub(super) enum Item {
    Kept(Box<ImplItem>),
    Method(Box<Instrument>),
}

/// `None` where the tokens are no block, or one that does not parse.
pub(super) fn find(item: &TokenStream) -> Option<ItemImpl> {
    syn::parse2(item.clone()).ok()
}

/// The block without the attributes in it that mean this macro; nothing else of it is reported then.
pub(super) fn without_attributes(mut block: ItemImpl) -> ItemImpl {
    for item in &mut block.items {
        if let ImplItem::Fn(method) = item {
            method.attrs.retain(|attribute| !is_ours(attribute));
        }
    }
    block
}

pub(super) fn parse(args: TokenStream, mut block: ItemImpl, errors: &mut Errors) -> Option<Block> {
    let shared = args::split(args, errors);
    let items = std::mem::take(&mut block.items);
    let items: Option<Vec<Item>> = items.into_iter().map(|item| parse_item(item, &shared, errors)).collect();
    Some(Block { shell: block, items: items? })
}

fn parse_item(item: ImplItem, shared: &[Arg], errors: &mut Errors) -> Option<Item> {
    let ImplItem::Fn(mut method) = item else { return Some(Item::Kept(Box::new(item))) };
    let own: Vec<Attribute> = method.attrs.extract_if(.., |attribute| is_ours(attribute)).collect();
    let own: Vec<Arg> = own.iter().flat_map(|attribute| args::split(tokens(attribute), errors)).collect();
    // A `const fn` can be told apart from a mistake only where it was not named.
    let left_as_it_is = own.iter().any(Arg::is_skip) || own.is_empty() && method.sig.constness.is_some();
    if left_as_it_is {
        return Some(Item::Kept(Box::new(ImplItem::Fn(method))));
    }
    let function = match function::parse(method.into_token_stream()) {
        Ok(function) => function,
        Err(function::Unusable::Unparsed) => return None,
        Err(function::Unusable::NoFunction(error)) => {
            errors.add(error);
            return None;
        }
    };
    let is_own = |arg: &Arg| own.iter().any(|own| own.name() == arg.name());
    let inherited = shared.iter().filter(|arg| !is_own(arg) && arg.applies_to(&function)).cloned();
    let args = args::check(inherited.chain(own.iter().cloned()), &function, errors);
    Some(Item::Method(Box::new(Instrument { args, function })))
}

/// Whether the attribute is this macro's; that of another crate has a path.
fn is_ours(attribute: &Attribute) -> bool {
    let segments = &attribute.path().segments;
    let last_is = segments.last().is_some_and(|last| last.ident == "instrument");
    last_is && (segments.len() == 1 || segments.first().is_some_and(|first| first.ident == "metrics_core"))
}

fn tokens(attribute: &Attribute) -> TokenStream {
    match &attribute.meta {
        Meta::List(list) => list.tokens.clone(),
        Meta::Path(_) | Meta::NameValue(_) => TokenStream::new(),
    }
}

//! `#[instrument]` on an `impl` block: instruments each method with the block's options and its own.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Generics, ImplItem, ItemImpl, Meta, Path, PathSegment, Token};

use super::args::{self, Arg};
use super::function;
use super::model::Instrument;
use crate::errors::Errors;

/// An `impl` block, with the methods to instrument separated from its other items.
pub(super) struct Block {
    /// The block without its items.
    pub(super) shell: ItemImpl,
    pub(super) items: Vec<Item>,
}

pub(super) enum Item {
    Kept(Box<ImplItem>),
    Method(Box<Instrument>),
}

/// Parses an `impl` block. Returns `None` if the tokens are another kind of item or do not parse.
pub(super) fn find(item: &TokenStream) -> Option<ItemImpl> {
    syn::parse2(item.clone()).ok()
}

/// Removes the `#[instrument]` attributes inside a faulty `impl` block, where they would cause further errors.
pub(super) fn without_attributes(item: TokenStream) -> TokenStream {
    let keyword = item.clone().into_iter().find_map(|token| match token {
        TokenTree::Ident(ident) if ident == "impl" || ident == "fn" => Some(ident),
        _ => None,
    });
    if keyword.is_none_or(|keyword| keyword != "impl") {
        return item;
    }
    let strip = |token| match token {
        TokenTree::Group(items) if items.delimiter() == Delimiter::Brace => {
            TokenTree::Group(function::with_stream(&items, without_ours(items.stream())))
        }
        other => other,
    };
    item.into_iter().map(strip).collect()
}

fn without_ours(items: TokenStream) -> TokenStream {
    let mut kept: Vec<TokenTree> = Vec::new();
    for token in items {
        let pound = matches!(kept.last(), Some(TokenTree::Punct(punct)) if punct.as_char() == '#');
        match &token {
            TokenTree::Group(group) if pound && names_ours(group) => drop(kept.pop()),
            _ => kept.push(token),
        }
    }
    kept.into_iter().collect()
}

/// Returns true if `group` is the bracketed part of an attribute that contains this macro.
fn names_ours(group: &Group) -> bool {
    group.delimiter() == Delimiter::Bracket
        && syn::parse2::<Meta>(group.stream()).is_ok_and(|meta| is_ours(meta.path(), None) || holds_ours(&meta, None))
}

pub(super) fn parse(args: TokenStream, mut block: ItemImpl, errors: &mut Errors) -> Option<Block> {
    let shared = args::split(args, errors);
    let items = std::mem::take(&mut block.items);
    let context = Context { krate: args::krate(&shared), shared, generics: &block.generics };
    // Parses all items before returning, to report the mistakes in every item.
    let items: Vec<Option<Item>> = items.into_iter().map(|item| context.item(item, errors)).collect();
    Some(Block { items: items.into_iter().collect::<Option<_>>()?, shell: block })
}

/// The options and generics that all methods of a block share.
struct Context<'b> {
    shared: Vec<Arg>,
    /// The path to `metrics-core` if it is not `::metrics_core`.
    krate: Option<Path>,
    generics: &'b Generics,
}

impl Context<'_> {
    fn item(&self, item: ImplItem, errors: &mut Errors) -> Option<Item> {
        let ImplItem::Fn(mut method) = item else { return Some(Item::Kept(Box::new(item))) };
        let krate = self.krate.as_ref();
        for attribute in method.attrs.iter().filter(|attribute| holds_ours(&attribute.meta, krate)) {
            let message =
                "`#[instrument]` on a block ignores `#[instrument]` inside `cfg_attr`: annotate each method instead";
            errors.at(attribute.path().span(), message);
        }
        let attributes: Vec<Attribute> =
            method.attrs.extract_if(.., |attribute| is_ours(attribute.path(), krate)).collect();
        let own: Vec<Arg> = attributes.iter().flat_map(|attribute| args::split(tokens(attribute), errors)).collect();
        // A `const fn` is left unchanged unless it has its own attribute, which is a mistake.
        let left_as_it_is = own.iter().any(Arg::is_skip) || attributes.is_empty() && method.sig.constness.is_some();
        if left_as_it_is {
            return Some(Item::Kept(Box::new(ImplItem::Fn(method))));
        }
        let function = match function::parse(method.into_token_stream(), Some(self.generics)) {
            Ok(function) => function,
            Err(function::Unusable::Unparsed) => return None,
            Err(function::Unusable::NoFunction(error)) => {
                errors.add(error);
                return None;
            }
        };
        let is_own = |arg: &Arg| own.iter().any(|own| own.name() == arg.name());
        let inherited = self.shared.iter().filter(|arg| !is_own(arg) && arg.applies_to(&function)).cloned();
        let args = args::check(inherited.chain(own.iter().cloned()), &function, errors);
        Some(Item::Method(Box::new(Instrument { args, function })))
    }
}

/// Returns true if the path names this macro: `instrument` alone, or a path that begins with the library's name.
fn is_ours(path: &Path, krate: Option<&Path>) -> bool {
    let segments = &path.segments;
    let last_is = segments.last().is_some_and(|last| last.ident == "instrument");
    let root = krate.and_then(|krate| krate.segments.first()).map(|first| &first.ident);
    let of_ours = |first: &PathSegment| first.ident == "metrics_core" || Some(&first.ident) == root;
    last_is && (segments.len() == 1 || segments.first().is_some_and(of_ours))
}

/// Returns true if `meta` is a `cfg_attr` that contains this macro.
fn holds_ours(meta: &Meta, krate: Option<&Path>) -> bool {
    let all = Punctuated::<Meta, Token![,]>::parse_terminated;
    let held = meta.require_list().ok().filter(|list| list.path.is_ident("cfg_attr"));
    held.and_then(|list| list.parse_args_with(all).ok())
        .is_some_and(|held| held.iter().skip(1).any(|meta| is_ours(meta.path(), krate)))
}

fn tokens(attribute: &Attribute) -> TokenStream {
    match &attribute.meta {
        Meta::List(list) => list.tokens.clone(),
        Meta::Path(_) | Meta::NameValue(_) => TokenStream::new(),
    }
}

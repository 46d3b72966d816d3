//! Finds the future returned by a function that is not `async`.
//!
//! A function returns a future if its return type is a future, or if its last expression is
//! `Box::pin(async move { .. })`. If the body ends in an `async` block and the statements before the block cannot
//! return early, the macro measures the block itself. Otherwise the whole body runs unchanged, and a returned
//! boxed future is boxed again.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    GenericArgument, Generics, PathArguments, PathSegment, ReturnType, Signature, Type, TypeParamBound, parse_quote,
};

use super::model::{Made, Pinned, ReturnedFuture};
use super::{generics, ty};

/// Finds the future that a function with this signature and body returns. Returns `None` if the function does not
/// return a future, or if the future cannot be measured.
pub(super) fn find(sig: &Signature, of_block: Option<&Generics>, body: &TokenStream) -> Option<ReturnedFuture> {
    let ReturnType::Type(_, ty) = &sig.output else { return None };
    let ty = ty::without_groups(ty);
    let tail = Tail::of(body);
    let boxed_tail = tail.as_ref().is_some_and(|tail| tail.pin.is_some());
    let opaque = match ty {
        // The future is an `async` block, which implements only traits that the measured future also implements.
        Type::ImplTrait(opaque) if tail.is_some() => Some(Bounds::any_of(&opaque.bounds)?),
        Type::ImplTrait(opaque) => Some(Bounds::of(&opaque.bounds)?),
        _ if boxed_tail || is_boxed_future(ty) => None,
        _ => return None,
    };
    let output = match &opaque {
        Some(bounds) => bounds.output.clone(),
        None if boxed_bounds(ty).is_some() => boxed_bounds(ty).and_then(|bounds| bounds.output),
        None if ty::is_opaque(ty) => None,
        None => Some(parse_quote!(<#ty as ::core::future::Future>::Output)),
    };
    let must_pin = opaque.as_ref().is_none_or(|bounds| bounds.unpin);
    let (made, pinned) = match tail {
        Some(Tail { before, pin, keywords, block }) if !may_return(&before) && (pin.is_some() || !must_pin) => {
            (Made::Block { before, keywords, block }, pin.map_or(Pinned::No, Pinned::By))
        }
        // A boxed future that contains a `T` is not `'static` unless `T` is.
        _ if must_pin && is_static(ty) && !generics::are_static(ty, sig, of_block) => return None,
        _ => (Made::Body, if must_pin { Pinned::Yes } else { Pinned::No }),
    };
    Some(ReturnedFuture { made, pinned, output: output.map(ty::erased) })
}

/// The relevant bounds of `impl Future<Output = T> + ..`.
struct Bounds {
    output: Option<Type>,
    unpin: bool,
}

impl Bounds {
    /// Returns `None` if the bounds do not include `Future`, or if they include traits that the measured future
    /// might not implement.
    fn of<'b>(bounds: impl IntoIterator<Item = &'b TypeParamBound> + Clone) -> Option<Self> {
        const OF_ANY_FUTURE: [&str; 4] = ["Future", "Unpin", "Send", "Sync"];
        let known = names(bounds.clone()).all(|last| OF_ANY_FUTURE.iter().any(|name| last.ident == name));
        if known { Self::any_of(bounds) } else { None }
    }

    /// Returns `None` if the bounds do not include `Future`.
    fn any_of<'b>(bounds: impl IntoIterator<Item = &'b TypeParamBound> + Clone) -> Option<Self> {
        let future = names(bounds.clone()).find(|last| last.ident == "Future")?;
        Some(Self { output: output_of(future), unpin: names(bounds).any(|last| last.ident == "Unpin") })
    }
}

/// Returns the last path segment of each trait.
fn names<'b>(bounds: impl IntoIterator<Item = &'b TypeParamBound>) -> impl Iterator<Item = &'b PathSegment> {
    bounds.into_iter().filter_map(|bound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last(),
        _ => None,
    })
}

/// Returns the type in `Output = ..`.
fn output_of(segment: &PathSegment) -> Option<Type> {
    arguments(segment).find_map(|argument| match argument {
        GenericArgument::AssocType(assoc) if assoc.ident == "Output" => Some(assoc.ty.clone()),
        _ => None,
    })
}

fn arguments(segment: &PathSegment) -> impl Iterator<Item = &GenericArgument> {
    let arguments = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        PathArguments::None | PathArguments::Parenthesized(_) => None,
    };
    arguments.into_iter().flatten()
}

/// Returns true for a `Pin<Box<..>>` that contains a `dyn` or `impl Future`, and for the `futures` aliases.
fn is_boxed_future(ty: &Type) -> bool {
    let named = last_segment(ty).is_some_and(|last| last.ident == "BoxFuture" || last.ident == "LocalBoxFuture");
    named || boxed_bounds(ty).is_some()
}

/// Returns true for a boxed future that is `'static`. A boxed `dyn Future` without a lifetime is `'static`.
fn is_static(ty: &Type) -> bool {
    is_boxed_future(ty) && names_only_static(ty.to_token_stream()) && !ty::is_opaque(ty)
}

/// Returns true if the tokens contain no lifetime other than `'static`.
fn names_only_static(tokens: TokenStream) -> bool {
    let mut after_tick = false;
    tokens.into_iter().all(|token| match token {
        TokenTree::Ident(ident) => !std::mem::take(&mut after_tick) || ident == "static",
        TokenTree::Group(group) => names_only_static(group.stream()),
        TokenTree::Punct(punct) => {
            after_tick = punct.as_char() == '\'';
            true
        }
        TokenTree::Literal(_) => true,
    })
}

fn boxed_bounds(ty: &Type) -> Option<Bounds> {
    match argument_of(argument_of(ty, "Pin")?, "Box")? {
        Type::TraitObject(object) => Bounds::any_of(&object.bounds),
        Type::ImplTrait(opaque) => Bounds::any_of(&opaque.bounds),
        _ => None,
    }
}

/// Returns the `T` in `Name<T>`.
fn argument_of<'t>(ty: &'t Type, name: &str) -> Option<&'t Type> {
    let last = last_segment(ty).filter(|last| last.ident == name)?;
    arguments(last).find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ty::without_groups(ty) {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// A body that ends in `async move { .. }` or `Box::pin(async move { .. })`.
struct Tail {
    before: TokenStream,
    /// The user's path to `Box::pin`.
    pin: Option<TokenStream>,
    keywords: TokenStream,
    block: Group,
}

impl Tail {
    fn of(body: &TokenStream) -> Option<Self> {
        let tokens: Vec<TokenTree> = body.clone().into_iter().collect();
        let (at, pin, block) = match tokens.last()? {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => {
                let at = start_of_path(&tokens[..tokens.len() - 1]);
                let path = &tokens[at..tokens.len() - 1];
                is_box_pin(path).then_some(())?;
                (at, Some(path.iter().cloned().collect()), AsyncBlock::only(group)?)
            }
            _ => {
                let block = AsyncBlock::at_end(&tokens)?;
                (tokens.len() - block.len, None, block)
            }
        };
        let before = &tokens[..at];
        let is_statement = match before.last() {
            None => true,
            Some(TokenTree::Punct(punct)) => punct.as_char() == ';',
            Some(TokenTree::Group(group)) => group.delimiter() == Delimiter::Brace,
            Some(_) => false,
        };
        let AsyncBlock { keywords, block, .. } = block;
        is_statement.then(|| Self { before: before.iter().cloned().collect(), pin, keywords, block })
    }
}

struct AsyncBlock {
    keywords: TokenStream,
    block: Group,
    /// The number of tokens, including the keywords.
    len: usize,
}

impl AsyncBlock {
    fn at_end(tokens: &[TokenTree]) -> Option<Self> {
        let (TokenTree::Group(block), before) = tokens.split_last()? else { return None };
        let is = |token: &TokenTree, keyword: &str| matches!(token, TokenTree::Ident(ident) if ident == keyword);
        let keywords = match before {
            [.., first, second] if is(first, "async") && is(second, "move") => &before[before.len() - 2..],
            [.., only] if is(only, "async") => &before[before.len() - 1..],
            _ => return None,
        };
        let len = keywords.len() + 1;
        (block.delimiter() == Delimiter::Brace).then(|| Self {
            keywords: keywords.iter().cloned().collect(),
            block: block.clone(),
            len,
        })
    }

    /// Returns the `async` block if the group contains only that block and an optional trailing comma.
    fn only(group: &Group) -> Option<Self> {
        let mut tokens: Vec<TokenTree> = group.stream().into_iter().collect();
        if matches!(tokens.last(), Some(TokenTree::Punct(punct)) if punct.as_char() == ',') {
            tokens.pop();
        }
        Self::at_end(&tokens).filter(|block| block.len == tokens.len())
    }
}

/// Returns the index at which the path at the end of these tokens begins.
fn start_of_path(tokens: &[TokenTree]) -> usize {
    let is_part = |token: &TokenTree| match token {
        TokenTree::Ident(_) => true,
        TokenTree::Punct(punct) => punct.as_char() == ':',
        TokenTree::Group(_) | TokenTree::Literal(_) => false,
    };
    tokens.iter().rposition(|token| !is_part(token)).map_or(0, |at| at + 1)
}

fn is_box_pin(path: &[TokenTree]) -> bool {
    let path: String = path.iter().map(ToString::to_string).collect();
    path == "Box::pin" || path.ends_with("::Box::pin")
}

/// Returns true if these statements may return early. Any macro call counts, because it may expand to `return`.
fn may_return(statements: &TokenStream) -> bool {
    let tokens: Vec<TokenTree> = statements.clone().into_iter().collect();
    (0..tokens.len()).any(|at| match &tokens[at..] {
        [TokenTree::Ident(_), TokenTree::Punct(bang), TokenTree::Group(_), ..] if bang.as_char() == '!' => true,
        [TokenTree::Ident(ident), ..] => ident == "return",
        [TokenTree::Punct(punct), ..] => punct.as_char() == '?',
        [TokenTree::Group(group), ..] => may_return(&group.stream()),
        _ => false,
    })
}

//! Moves `mut` arguments that hold references into new variables, as the compiler itself does.
//!
//! In a plain function, the compiler moves the bindings of a pattern into new variables. In an `async fn`, it moves
//! every argument. It infers new lifetimes for these variables, so `name = &local` compiles. By contrast, a
//! closure's captures keep the lifetimes from the signature. The macro therefore removes `mut` from the signature and
//! begins the body with `let mut name = name;`.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{FnArg, Pat, PatType, Signature, Type};

use super::super::model::{Function, Made};
use super::super::ty;

/// Returns the signature without `mut` on the arguments that the body rebinds.
pub(super) fn signature(function: &Function) -> Signature {
    let mut sig = function.sig.clone();
    for input in &mut sig.inputs {
        if let FnArg::Typed(typed) = input
            && is_rebound(typed, function)
        {
            let (pattern, mutable) = split(typed.pat.to_token_stream());
            if !mutable.is_empty() {
                *typed.pat = Pat::Verbatim(pattern);
            }
        }
    }
    sig
}

/// Emits the statements that rebind arguments at the start of the body.
pub(super) fn statements(function: &Function) -> TokenStream {
    let mut statements = TokenStream::new();
    for input in &function.sig.inputs {
        if let FnArg::Typed(typed) = input
            && is_rebound(typed, function)
        {
            for (keyword, name) in split(typed.pat.to_token_stream()).1 {
                statements.extend(quote! { let #keyword #name = #name; });
            }
        }
    }
    statements
}

fn is_rebound(typed: &PatType, function: &Function) -> bool {
    let is_closure = ty::is_closure(&function.sig.output);
    let by_the_compiler = function.is_async() || !is_closure && !matches!(&*typed.pat, Pat::Ident(_));
    // A returned `async` block is not wrapped in a closure if no statements precede it.
    let in_closure = !matches!(&function.future, Some(future)
        if matches!(&future.made, Made::Block { before, .. } if before.is_empty()));
    // The body of a function that never returns is emitted without rebinding statements.
    let returns = ty::nameable(&function.sig.output).is_some();
    by_the_compiler && in_closure && returns && typed.attrs.is_empty() && has_lifetime(&typed.ty)
}

/// Returns true if the type contains a reference or a lifetime. Arguments of other types are not rebound, so that the
/// future of an `async fn` does not store them twice.
fn has_lifetime(ty: &Type) -> bool {
    fn any(tokens: TokenStream) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Punct(punct) => matches!(punct.as_char(), '&' | '\''),
            TokenTree::Group(group) => any(group.stream()),
            TokenTree::Ident(_) | TokenTree::Literal(_) => false,
        })
    }
    any(ty.to_token_stream())
}

/// Removes `mut` from a pattern. Returns the new pattern and each removed keyword with its variable.
fn split(pattern: TokenStream) -> (TokenStream, Vec<(Ident, Ident)>) {
    let tokens: Vec<TokenTree> = pattern.into_iter().collect();
    let (mut kept, mut mutable) = (Vec::<TokenTree>::new(), Vec::<(Ident, Ident)>::new());
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        let binds = match kept.last() {
            Some(TokenTree::Ident(ident)) => ident != "ref",
            Some(TokenTree::Punct(punct)) => punct.as_char() != '&',
            _ => true,
        };
        match (token, rest.peek()) {
            (TokenTree::Ident(keyword), Some(TokenTree::Ident(name))) if keyword == "mut" && binds => {
                if mutable.iter().all(|(_, known)| known != name) {
                    mutable.push((keyword, name.clone()));
                }
            }
            (TokenTree::Group(group), _) => {
                let (stream, more) = split(group.stream());
                let mut inner = Group::new(group.delimiter(), stream);
                inner.set_span(group.span());
                kept.push(if more.is_empty() { TokenTree::Group(group) } else { TokenTree::Group(inner) });
                mutable.extend(more);
            }
            (token, _) => kept.push(token),
        }
    }
    (kept.into_iter().collect(), mutable)
}

//! Emits a branch that determines the order in which the body's closure drops its captured arguments.
//!
//! A function drops its arguments from last to first. A closure drops its captures in the order in which its body first
//! uses them, and it captures only the fields that the body uses. If the difference may be observable, the closure
//! begins with a never-taken branch that references each argument as a whole, from last to first.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::{FnArg, Pat, PatIdent, ReceiverKind, Type};

use super::super::model::Function;

/// Emits a statement that references, from last to first, the arguments that may need to be dropped. Returns `None` if
/// the function has no such argument, or if it has only one and the closure already captures it as a whole.
pub(super) fn in_order(function: &Function) -> Option<TokenStream> {
    let mut owned: Vec<Ident> = function.sig.inputs.iter().filter_map(owned).collect();
    // Skip unused arguments that the compiler warns about, because a reference would suppress the warning.
    owned.retain(|ident| is_silent(ident) || names(&function.body, &ident.to_string()));
    let takes_it_whole = |only: &Ident| !is_silent(only) && !names_field(&function.body, &only.to_string());
    if owned.is_empty() || matches!(&owned[..], [only] if takes_it_whole(only)) {
        return None;
    }
    let span = Span::call_site().located_at(function.output_span());
    let references: Vec<_> = owned.iter().rev().map(|ident| quote! { &#ident }).collect();
    let allow = owned.iter().any(is_silent).then(|| quote! { #[allow(clippy::used_underscore_binding)] });
    Some(match &references[..] {
        [only] => quote_spanned! {span=> #allow let _ = #only; },
        _ => quote_spanned! {span=> #allow let _ = (#(#references),*); },
    })
}

/// Returns true if the compiler does not warn when this variable is unused.
fn is_silent(ident: &Ident) -> bool {
    ident.to_string().starts_with('_')
}

/// Returns the argument's variable if its value may need to be dropped.
fn owned(input: &FnArg) -> Option<Ident> {
    match input {
        FnArg::Receiver(receiver) => {
            let owned = match &receiver.kind {
                ReceiverKind::Value => true,
                ReceiverKind::Typed(_, ty) => may_drop(ty),
                _ => false,
            };
            (owned && receiver.attrs.is_empty()).then(|| receiver.self_token.into())
        }
        FnArg::Typed(typed) if typed.attrs.is_empty() && may_drop(&typed.ty) => match &*typed.pat {
            Pat::Ident(PatIdent { by_ref: None, ident, subpat: None, .. }) => Some(ident.clone()),
            _ => None,
        },
        FnArg::Typed(_) => None,
    }
}

fn may_drop(ty: &Type) -> bool {
    const NUMBERS: [&str; 17] = [
        "bool", "char", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32",
        "f64", "Duration",
    ];
    match ty {
        Type::Reference(_) | Type::Ptr(_) | Type::FnPtr(_) | Type::Never(_) => false,
        Type::Path(path) => !path.path.get_ident().is_some_and(|name| NUMBERS.contains(&name.to_string().as_str())),
        _ => true,
    }
}

/// Returns true if the tokens access a field of this variable.
fn names_field(tokens: &TokenStream, variable: &str) -> bool {
    let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let is_call = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis);
    (0..tokens.len()).any(|at| match (&tokens[at], tokens.get(at + 1), tokens.get(at + 2)) {
        (TokenTree::Group(group), ..) => names_field(&group.stream(), variable),
        (TokenTree::Ident(ident), Some(TokenTree::Punct(dot)), Some(_)) => {
            ident == variable && dot.as_char() == '.' && !is_call(tokens.get(at + 3))
        }
        _ => false,
    })
}

/// Returns true if the tokens name this variable, possibly inside a format string.
fn names(tokens: &TokenStream, variable: &str) -> bool {
    tokens.clone().into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == variable,
        TokenTree::Group(group) => names(&group.stream(), variable),
        TokenTree::Literal(literal) => literal.to_string().contains(&format!("{{{variable}")),
        TokenTree::Punct(_) => false,
    })
}

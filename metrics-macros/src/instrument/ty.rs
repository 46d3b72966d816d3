//! Types as they can stand inside a body.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{GenericArgument, Path, PathArguments, ReturnType, Type, TypeParamBound};

use super::model::Function;
use super::scope::CallScope;

/// The return type with `_` for every `impl Trait`, which cannot be named; `None` for `!`.
pub(super) fn nameable(output: &ReturnType) -> Option<Type> {
    match output {
        ReturnType::Default => Some(syn::parse_quote!(())),
        ReturnType::Type(_, ty) if matches!(**ty, Type::Never(_)) => None,
        ReturnType::Type(_, ty) => Some(erased((**ty).clone())),
    }
}

/// The type with `_` for every `impl Trait`.
pub(super) fn erased(mut ty: Type) -> Type {
    erase(&mut ty);
    ty
}

/// `Result<(), E>` for the `Result` that calls of the function give, where a static of the function can name it.
pub(super) fn of_error(function: &Function) -> Option<Type> {
    let output = match (&function.future, &function.sig.output) {
        (Some(future), _) => future.output.clone()?,
        (None, ReturnType::Type(_, ty)) => (**ty).clone(),
        (None, ReturnType::Default) => return None,
    };
    let mut output = without_ok(output);
    replace_lifetimes(&mut output);
    let scope = CallScope::of(&function.sig);
    let nameable = !scope.names_generic(output.to_token_stream()) && !has_short_name(output.to_token_stream());
    nameable.then_some(output)
}

/// The value of a `Result<T, E>` does not matter.
fn without_ok(mut ty: Type) -> Type {
    if let Type::Path(path) = &mut ty
        && let Some(last) = path.path.segments.last_mut()
        && last.ident == "Result"
        && let PathArguments::AngleBracketed(arguments) = &mut last.arguments
        && let Some(first @ GenericArgument::Type(_)) = arguments.args.first_mut()
    {
        *first = GenericArgument::Type(syn::parse_quote!(()));
    }
    ty
}

/// In a static there are no lifetimes of the function.
fn replace_lifetimes(ty: &mut Type) {
    if let Ok(replaced) = syn::parse2(with_elided_lifetimes(ty.to_token_stream())) {
        *ty = replaced;
    }
}

fn with_elided_lifetimes(tokens: TokenStream) -> TokenStream {
    let mut after_tick = false;
    let elide = |token: TokenTree| match token {
        TokenTree::Ident(ident) if after_tick => {
            after_tick = false;
            TokenTree::Ident(if ident == "static" { ident } else { Ident::new("_", ident.span()) })
        }
        TokenTree::Punct(punct) => {
            after_tick = punct.as_char() == '\'';
            TokenTree::Punct(punct)
        }
        TokenTree::Group(group) => {
            let mut elided = Group::new(group.delimiter(), with_elided_lifetimes(group.stream()));
            elided.set_span(group.span());
            TokenTree::Group(elided)
        }
        other => other,
    };
    tokens.into_iter().map(elide).collect()
}

/// Whether a name may be a generic of the `impl` block, which an attribute of a method cannot see: `T`, `E2`.
fn has_short_name(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => {
            let name = ident.to_string();
            name.len() <= 2 && name.starts_with(char::is_uppercase) || name == "impl"
        }
        TokenTree::Group(group) => has_short_name(group.stream()),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

fn erase(ty: &mut Type) {
    match ty {
        Type::ImplTrait(opaque) => {
            let underscore = syn::Token![_](opaque.impl_token.span);
            *ty = Type::Infer(syn::TypeInfer { attrs: Vec::new(), underscore_token: underscore });
        }
        Type::Array(array) => erase(&mut array.elem),
        Type::Group(group) => erase(&mut group.elem),
        Type::Paren(paren) => erase(&mut paren.elem),
        Type::Ptr(pointer) => erase(&mut pointer.elem),
        Type::Reference(reference) => erase(&mut reference.elem),
        Type::Slice(slice) => erase(&mut slice.elem),
        Type::Tuple(tuple) => tuple.elems.iter_mut().for_each(erase),
        Type::Path(path) => erase_in_path(&mut path.path),
        Type::TraitObject(object) => {
            for bound in &mut object.bounds {
                if let TypeParamBound::Trait(bound) = bound {
                    erase_in_path(&mut bound.path);
                }
            }
        }
        _ => {}
    }
}

fn erase_in_path(path: &mut Path) {
    for segment in &mut path.segments {
        if let PathArguments::AngleBracketed(arguments) = &mut segment.arguments {
            for argument in &mut arguments.args {
                match argument {
                    GenericArgument::Type(ty) => erase(ty),
                    GenericArgument::AssocType(assoc) => erase(&mut assoc.ty),
                    _ => {}
                }
            }
        }
    }
}

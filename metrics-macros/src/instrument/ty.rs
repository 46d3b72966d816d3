//! Types in the form in which they can be named inside a body.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{GenericArgument, Path, PathArguments, ReturnType, Type, TypeParamBound};

use super::model::Function;
use super::scope::CallScope;

/// The return type with `_` for every `impl Trait`, which cannot be named; `None` for `!`.
pub(super) fn nameable(output: &ReturnType) -> Option<Type> {
    match output {
        ReturnType::Default => Some(syn::parse_quote!(())),
        ReturnType::Type(_, ty) if matches!(without_groups(ty), Type::Never(_)) => None,
        ReturnType::Type(_, ty) => Some(erased((**ty).clone())),
    }
}

/// The type without the parentheses around it, also those that a macro leaves unseen.
pub(super) fn without_groups(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => without_groups(&group.elem),
        Type::Paren(paren) => without_groups(&paren.elem),
        other => other,
    }
}

/// Returns true if the function returns an `impl Fn`, whose bounds give the closure the types of its arguments.
pub(super) fn is_closure(output: &ReturnType) -> bool {
    const CLOSURES: [&str; 6] = ["Fn", "FnMut", "FnOnce", "AsyncFn", "AsyncFnMut", "AsyncFnOnce"];
    let ReturnType::Type(_, ty) = output else { return false };
    let Type::ImplTrait(opaque) = without_groups(ty) else { return false };
    opaque.bounds.iter().any(|bound| match bound {
        TypeParamBound::Trait(bound) => {
            bound.path.segments.last().is_some_and(|last| CLOSURES.iter().any(|name| last.ident == name))
        }
        _ => false,
    })
}

/// The same tokens at the same places, but marked as the macro's, so that lints do not look at the type twice.
pub(super) fn restated(tokens: TokenStream) -> TokenStream {
    let restate = |token: TokenTree| match token {
        TokenTree::Group(group) => {
            let mut restated = Group::new(group.delimiter(), restated(group.stream()));
            restated.set_span(Span::call_site().located_at(group.span()));
            TokenTree::Group(restated)
        }
        // Only its own span says which crate this is.
        TokenTree::Ident(ident) if ident == "$crate" => TokenTree::Ident(ident),
        mut token => {
            token.set_span(Span::call_site().located_at(token.span()));
            token
        }
    };
    tokens.into_iter().map(restate).collect()
}

/// Whether there is an `impl Trait` in the type.
pub(super) fn is_opaque(ty: &Type) -> bool {
    has_name(ty.to_token_stream(), &|name| name == "impl")
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
    let tokens = output.to_token_stream();
    let is_generic = CallScope::of(function).names_generic(tokens.clone());
    (!is_generic && !has_name(tokens, &|name| is_no_type_of_its_own(name, function))).then_some(output)
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

/// Whether a static may not be able to name this: what is inferred, and `T` or `E2`, which may be generics of an `impl`
/// block that the attribute of a method cannot see.
fn is_no_type_of_its_own(name: &str, function: &Function) -> bool {
    name == "_" || name == "impl" || is_short(name) && function.block_generics.is_none()
}

/// Returns true for `T` or `E2`, as generics are called.
pub(super) fn is_short(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(char::is_uppercase) && chars.all(|rest| rest.is_ascii_digit())
}

/// Returns true if the tokens hold such a name, other than that of a lifetime.
pub(super) fn has_name(tokens: TokenStream, is_one: &dyn Fn(&str) -> bool) -> bool {
    let mut after_tick = false;
    tokens.into_iter().any(|token| {
        // The name of a lifetime is none of a type.
        let is_lifetime = std::mem::take(&mut after_tick);
        match token {
            TokenTree::Ident(ident) => !is_lifetime && is_one(&ident.to_string()),
            TokenTree::Group(group) => has_name(group.stream(), is_one),
            TokenTree::Punct(punct) => {
                after_tick = punct.as_char() == '\'';
                false
            }
            TokenTree::Literal(_) => false,
        }
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

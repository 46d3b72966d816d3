//! Determines whether the type parameters in a type are known to be `'static`.

use std::collections::HashSet;

use quote::ToTokens;
use syn::{Generics, Signature, Type, TypeParamBound, WherePredicate};

use super::scope::is_short;
use super::ty;

/// Returns false if the type contains a type parameter without a visible `'static` bound. If only a method is
/// annotated, the generics of its `impl` block are not visible, so any short name such as `T` is assumed to be a type
/// parameter.
pub(super) fn are_static(ty: &Type, sig: &Signature, of_block: Option<&Generics>) -> bool {
    let visible = || [Some(&sig.generics), of_block].into_iter().flatten();
    let declared: HashSet<String> =
        visible().flat_map(Generics::type_params).map(|param| param.ident.to_string()).collect();
    let is_static: HashSet<String> = visible().flat_map(static_params).collect();
    let may_be_generic = |name: &str| declared.contains(name) || of_block.is_none() && is_short(name);
    !ty::has_name(ty.to_token_stream(), &|name| may_be_generic(name) && !is_static.contains(name))
}

/// Returns the names of the type parameters with a `'static` bound.
fn static_params(generics: &Generics) -> Vec<String> {
    let is_static = |bound: &TypeParamBound| matches!(bound, TypeParamBound::Lifetime(of) if of.ident == "static");
    let in_list = generics.type_params().filter(|param| param.bounds.iter().any(is_static));
    let mut params: Vec<String> = in_list.map(|param| param.ident.to_string()).collect();
    for predicate in generics.where_clause.iter().flat_map(|clause| &clause.predicates) {
        if let WherePredicate::Type(of) = predicate
            && of.bounds.iter().any(is_static)
        {
            params.push(of.bounded_ty.to_token_stream().to_string());
        }
    }
    params
}

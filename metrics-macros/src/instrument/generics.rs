//! Determines if the generics that a type names are known to be `'static`.

use std::collections::HashSet;

use quote::ToTokens;
use syn::{Generics, Signature, Type, TypeParamBound, WherePredicate};

use super::ty;

/// Returns false if the type names a generic without a visible `'static` bound. The generics of an `impl` block whose
/// method alone is annotated are not visible; there, a short name such as `T` is taken for one.
pub(super) fn are_static(ty: &Type, sig: &Signature, of_block: Option<&Generics>) -> bool {
    let visible = || [Some(&sig.generics), of_block].into_iter().flatten();
    let declared: HashSet<String> =
        visible().flat_map(Generics::type_params).map(|param| param.ident.to_string()).collect();
    let is_static: HashSet<String> = visible().flat_map(static_params).collect();
    let may_be_generic = |name: &str| declared.contains(name) || of_block.is_none() && ty::is_short(name);
    !ty::has_name(ty.to_token_stream(), &|name| may_be_generic(name) && !is_static.contains(name))
}

/// The parameters with a `'static` bound.
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

//! What an expression needs: only statics, or something that only a call has.

use std::collections::HashSet;

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::{Expr, FnArg, GenericParam, Signature};

/// Names that only a call has: `self`, `Self`, parameters and generics.
pub(super) struct CallScope(HashSet<String>);

impl CallScope {
    pub(super) fn of(sig: &Signature) -> Self {
        let mut names: HashSet<String> = ["self", "Self"].map(str::to_owned).into();
        for input in &sig.inputs {
            if let FnArg::Typed(typed) = input {
                bindings(quote::ToTokens::to_token_stream(&typed.pat), &mut names);
            }
        }
        for param in &sig.generics.params {
            match param {
                GenericParam::Type(param) => names.insert(param.ident.to_string()),
                GenericParam::Const(param) => names.insert(param.ident.to_string()),
                GenericParam::Lifetime(_) => continue,
            };
        }
        Self(names)
    }

    /// The first name in `expr` that only a call has.
    pub(super) fn first_in(&self, expr: &Expr) -> Option<Ident> {
        match expr {
            Expr::Path(path) if path.qself.is_none() => {
                let first = &path.path.segments.first()?.ident;
                let ours = path.path.leading_colon.is_none() && self.0.contains(&first.to_string());
                ours.then(|| first.clone())
            }
            Expr::Field(field) => self.first_in(&field.base),
            Expr::MethodCall(call) => self.first_in(&call.receiver).or_else(|| self.first_of(call.args.iter())),
            Expr::Call(call) => self.first_in(&call.func).or_else(|| self.first_of(call.args.iter())),
            Expr::Index(index) => self.first_in(&index.expr).or_else(|| self.first_in(&index.index)),
            Expr::Reference(reference) => self.first_in(&reference.expr),
            Expr::Unary(unary) => self.first_in(&unary.expr),
            Expr::Paren(paren) => self.first_in(&paren.expr),
            Expr::Group(group) => self.first_in(&group.expr),
            Expr::Cast(cast) => self.first_in(&cast.expr),
            Expr::Array(array) => self.first_of(array.elems.iter()),
            Expr::Tuple(tuple) => self.first_of(tuple.elems.iter()),
            _ => None,
        }
    }

    fn first_of<'e>(&self, mut exprs: impl Iterator<Item = &'e Expr>) -> Option<Ident> {
        exprs.find_map(|expr| self.first_in(expr))
    }
}

/// The variables that a pattern may bind; types in it begin with a capital letter.
fn bindings(pattern: TokenStream, names: &mut HashSet<String>) {
    for token in pattern {
        match token {
            TokenTree::Ident(ident) => {
                let name = ident.to_string();
                if name.starts_with(|c: char| c.is_lowercase() || c == '_') {
                    names.insert(name);
                }
            }
            TokenTree::Group(group) => bindings(group.stream(), names),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

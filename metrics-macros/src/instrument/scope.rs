//! Determines whether an expression uses names that exist only during a call.

use std::collections::HashSet;

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Expr, ExprPath, FnArg, GenericParam};

use super::model::Function;

/// The names that exist only during a call.
pub(super) struct CallScope {
    /// `self` and the variables that the parameters bind.
    variables: HashSet<String>,
    /// `Self` and generic parameters, which can begin a path.
    generics: HashSet<String>,
}

impl CallScope {
    pub(super) fn of(Function { sig, block_generics, .. }: &Function) -> Self {
        let mut variables = HashSet::from(["self".to_owned()]);
        for input in &sig.inputs {
            if let FnArg::Typed(typed) = input {
                bindings(typed.pat.to_token_stream(), &mut variables);
            }
        }
        let mut generics = HashSet::from(["Self".to_owned()]);
        let of_block = block_generics.iter().flat_map(|generics| &generics.params);
        generics.extend(sig.generics.params.iter().chain(of_block).filter_map(|param| match param {
            GenericParam::Type(param) => Some(param.ident.to_string()),
            GenericParam::Const(param) => Some(param.ident.to_string()),
            GenericParam::Lifetime(_) => None,
        }));
        Self { variables, generics }
    }

    /// Returns true if a parameter may bind this variable.
    pub(super) fn binds(&self, variable: &Ident) -> bool {
        self.variables.contains(&variable.to_string())
    }

    /// Returns true if the tokens contain `Self` or a generic parameter of the function or its block.
    pub(super) fn names_generic(&self, tokens: TokenStream) -> bool {
        self.first_token(tokens, false).is_some()
    }

    /// Returns the first name in `expr` that exists only during a call.
    pub(super) fn first_in(&self, expr: &Expr) -> Option<Ident> {
        match expr {
            Expr::Path(path) => self.first_in_path(path),
            Expr::Field(field) => self.first_in(&field.base),
            Expr::MethodCall(call) => self.first_in(&call.receiver).or_else(|| self.first_of(call.args.iter())),
            Expr::Call(call) => self.first_in(&call.func).or_else(|| self.first_of(call.args.iter())),
            Expr::Reference(reference) => self.first_in(&reference.expr),
            Expr::Array(array) => self.first_of(array.elems.iter()),
            // The names in a closure may be the closure's own variables. The compiler reports other unknown names.
            Expr::Closure(_) => None,
            _ => self.first_token(expr.to_token_stream(), true),
        }
    }

    fn first_of<'e>(&self, mut exprs: impl Iterator<Item = &'e Expr>) -> Option<Ident> {
        exprs.find_map(|expr| self.first_in(expr))
    }

    fn first_in_path(&self, path: &ExprPath) -> Option<Ident> {
        // A variable is a single identifier; a longer path may begin with a module of the same name.
        if let Some(ident) = path.path.get_ident()
            && self.binds(ident)
        {
            return Some(ident.clone());
        }
        self.first_token(path.to_token_stream(), false)
    }

    fn first_token(&self, tokens: TokenStream, variables: bool) -> Option<Ident> {
        tokens.into_iter().find_map(|token| match token {
            TokenTree::Ident(ident) => {
                let only_calls = self.generics.contains(&ident.to_string()) || variables && self.binds(&ident);
                only_calls.then_some(ident)
            }
            TokenTree::Group(group) => self.first_token(group.stream(), variables),
            TokenTree::Punct(_) | TokenTree::Literal(_) => None,
        })
    }
}

/// Returns the first `await` in the tokens that is not in an `async` block or closure.
pub(super) fn first_await(tokens: TokenStream) -> Option<Ident> {
    let mut tokens = tokens.into_iter();
    let mut is_async = false;
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(ident) if ident == "await" => return Some(ident),
            TokenTree::Ident(ident) if ident == "async" => is_async = true,
            TokenTree::Ident(ident) if ident == "move" => {}
            TokenTree::Punct(bar) if is_async && bar.as_char() == '|' => {
                let is = |token: &TokenTree, ends: &str| matches!(token, TokenTree::Punct(punct) if ends.contains(punct.as_char()));
                tokens.find(|token| is(token, "|"));
                tokens.find(|token| is(token, ",;"));
                is_async = false;
            }
            TokenTree::Group(group) if is_async && group.delimiter() == Delimiter::Brace => is_async = false,
            TokenTree::Group(group) => {
                if let Some(found) = first_await(group.stream()) {
                    return Some(found);
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    None
}

/// Adds to `names` the variables that a pattern may bind. Skips uppercase names, such as types and constants.
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

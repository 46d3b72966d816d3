//! Determines whether an expression uses names that exist only during a call.

use std::collections::HashSet;

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::discouraged::Speculative as _;
use syn::parse::{Parse, ParseStream, Parser as _};
use syn::{Expr, ExprAsync, ExprClosure, ExprPath, FnArg, GenericParam, ItemFn, Token};

use super::model::Function;

/// The names that exist only during a call.
pub(super) struct CallScope {
    /// `self` and the variables that the parameters bind.
    variables: HashSet<String>,
    /// `Self` and generic parameters, which can begin a path.
    generics: HashSet<String>,
    /// `true` if the function is a method of a block whose generics are unknown, because the attribute is on the
    /// method.
    has_unknown_block: bool,
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
        let has_unknown_block = sig.receiver().is_some() && block_generics.is_none();
        Self { variables, generics, has_unknown_block }
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

    /// Returns true if `expr` begins with a path whose first part may be a generic parameter of an unknown block, such
    /// as `B::METRICS`.
    pub(super) fn may_begin_with_generic(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Path(ExprPath { path, .. }) => {
                let first = path.segments.first().filter(|_| path.segments.len() > 1);
                self.has_unknown_block && first.is_some_and(|first| is_short(&first.ident.to_string()))
            }
            Expr::Field(field) => self.may_begin_with_generic(&field.base),
            Expr::MethodCall(call) => self.may_begin_with_generic(&call.receiver),
            Expr::Call(call) => self.may_begin_with_generic(&call.func),
            Expr::Reference(reference) => self.may_begin_with_generic(&reference.expr),
            _ => false,
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

/// Returns true for short names such as `T` or `E2`, which type parameters commonly have.
pub(super) fn is_short(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(char::is_uppercase) && chars.all(|rest| rest.is_ascii_digit())
}

/// Returns the first `await` in the tokens that is not in an `async` block, closure or function.
pub(super) fn first_await(tokens: TokenStream) -> Option<Ident> {
    first_await_in.parse2(tokens).ok().flatten()
}

fn first_await_in(input: ParseStream<'_>) -> syn::Result<Option<Ident>> {
    while !input.is_empty() {
        if input.peek(Token![async])
            && (skip::<ExprAsync>(input) || skip::<ExprClosure>(input) || skip::<ItemFn>(input))
        {
            continue;
        }
        let found = match input.parse()? {
            TokenTree::Ident(ident) if ident == "await" => Some(ident),
            TokenTree::Group(group) => first_await(group.stream()),
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => None,
        };
        if found.is_some() {
            input.parse::<TokenStream>()?;
            return Ok(found);
        }
    }
    Ok(None)
}

/// Skips an expression of this type. Returns false, and skips nothing, if something else follows.
fn skip<E: Parse>(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    let is_next = ahead.parse::<E>().is_ok();
    if is_next {
        input.advance_to(&ahead);
    }
    is_next
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

//! The form of an argument: `name`, `name = value`, `name in values`, a literal or a list.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Expr, LitStr, Token, parenthesized};

use super::super::model::{Function, Known};
use crate::errors::Errors;

/// Parses the arguments without interpreting them. Skips arguments that do not parse and adds the mistakes to `errors`.
pub(in super::super) fn split(args: TokenStream, errors: &mut Errors) -> Vec<Arg> {
    let mut split = Vec::new();
    let mut found = Vec::new();
    let parser = |input: ParseStream<'_>| {
        while !input.is_empty() {
            match Arg::parse(input).and_then(|arg| end_of_arg(input).map(|()| arg)) {
                Ok(arg) => split.push(arg),
                Err(error) => {
                    found.push(error);
                    while !input.is_empty() && !input.peek(Token![,]) {
                        input.parse::<TokenTree>()?;
                    }
                }
            }
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(())
    };
    let rest = parser.parse2(args);
    found.into_iter().chain(rest.err()).for_each(|error| errors.add(error));
    split
}

fn end_of_arg(input: ParseStream<'_>) -> syn::Result<()> {
    if input.is_empty() || input.peek(Token![,]) { Ok(()) } else { Err(input.error("expected a comma")) }
}

/// An argument that has not been interpreted yet.
#[derive(Clone)]
pub(in super::super) struct Arg {
    pub(super) name: Ident,
    pub(super) value: Value,
}

#[derive(Clone)]
pub(super) enum Value {
    None,
    /// `name = value`, optionally followed by `in values`.
    Expr {
        value: Expr,
        known: Option<Known>,
    },
    /// `name in values`
    Known(Known),
    /// `"literal"`
    Path(LitStr),
    /// `name(..)`
    List(Vec<Expr>),
}

impl Arg {
    pub(in super::super) fn name(&self) -> String {
        self.name.unraw().to_string()
    }

    /// Returns true for `skip`, which excludes a method from an annotated block.
    pub(in super::super) fn is_skip(&self) -> bool {
        self.name == "skip" && matches!(self.value, Value::None)
    }

    /// Returns true if this argument of a block's attribute applies to `method`.
    pub(in super::super) fn applies_to(&self, method: &Function) -> bool {
        self.name != "cancelled" || method.is_cancellable()
    }

    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(LitStr) {
            let path: LitStr = input.parse()?;
            return Ok(Self { name: Ident::new("path", path.span()), value: Value::Path(path) });
        }
        if !input.peek(Ident::peek_any) {
            let message = "expected a label or an option: `path`, `path = expr`, `path in values`, `\"/path\"`, `prefix = \"..\"`";
            return Err(input.error(message));
        }
        let name = input.call(Ident::parse_any)?;
        let value = if input.parse::<Option<Token![=]>>()?.is_some() {
            let value = if name == "crate" { path_as_expr(input)? } else { input.parse()? };
            Value::Expr { value, known: Known::parse_if_any(input)? }
        } else if input.peek(syn::token::Paren) {
            let list;
            parenthesized!(list in input);
            if is_list_of_tracing(&name) {
                // Reported by its name; the list need not consist of expressions.
                list.parse::<TokenStream>()?;
                return Ok(Self { name, value: Value::List(Vec::new()) });
            }
            Value::List(list.parse_terminated(Expr::parse, Token![,])?.into_iter().collect())
        } else {
            Known::parse_if_any(input)?.map_or(Value::None, Value::Known)
        };
        Ok(Self { name, value })
    }
}

fn path_as_expr(input: ParseStream<'_>) -> syn::Result<Expr> {
    let path = input.call(syn::Path::parse_mod_style)?;
    Ok(Expr::Path(syn::ExprPath { attrs: Vec::new(), qself: None, path }))
}

impl Known {
    /// Parses `in values`, optionally followed by `, open`. Returns `None` if there is no `in`.
    fn parse_if_any(input: ParseStream<'_>) -> syn::Result<Option<Self>> {
        if input.parse::<Option<Token![in]>>()?.is_none() {
            return Ok(None);
        }
        let values = input.parse()?;
        let ahead = input.fork();
        let open = ahead.parse::<Token![,]>().is_ok()
            && ahead.parse::<Ident>().is_ok_and(|ident| ident == "open")
            && (ahead.is_empty() || ahead.peek(Token![,]));
        if open {
            input.parse::<Token![,]>()?;
            input.parse::<Ident>()?;
        }
        Ok(Some(Self { values, open }))
    }
}

/// Returns true for an option of `tracing::instrument` that takes a list in parentheses.
fn is_list_of_tracing(name: &Ident) -> bool {
    name == "fields" || name == "skip"
}

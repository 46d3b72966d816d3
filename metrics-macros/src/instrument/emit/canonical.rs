//! Recognizes the bodies that clippy asks for in `Clone` and `PartialOrd`.
//!
//! The lints want a body of one expression and look at its braces. Where the user wrote that expression, the emitted
//! braces are the macro's own, and the lints stay silent as they do without the attribute.

use syn::{FnArg, Pat};

use super::super::model::Function;

/// Returns true if the body is the one that clippy asks for.
pub(super) fn is_canonical(function: &Function) -> bool {
    let body: String = function.body.to_string().split_whitespace().collect();
    match function.sig.ident.to_string().as_str() {
        "clone" => body == "*self",
        "partial_cmp" => second(function).is_some_and(|other| compares(&body, &other)),
        _ => false,
    }
}

fn second(function: &Function) -> Option<String> {
    match function.sig.inputs.iter().nth(1)? {
        FnArg::Typed(typed) => match &*typed.pat {
            Pat::Ident(pat) => Some(pat.ident.to_string()),
            _ => None,
        },
        FnArg::Receiver(_) => None,
    }
}

/// Returns true for `Some(self.cmp(other))` and its other spellings.
fn compares(body: &str, other: &str) -> bool {
    let method = format!("self.cmp({other})");
    let path = format!("cmp(self,{other})");
    let in_some = body.strip_prefix("Some(").and_then(|rest| rest.strip_suffix(')'));
    in_some.is_some_and(|inner| inner == method || inner.ends_with(&path)) || body == format!("{method}.into()")
}

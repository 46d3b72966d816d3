//! Parses and checks names and literals in the attributes of all macros.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, Lit, LitStr};

use crate::errors::Errors;

/// Returns true if `name` is a valid label name or a valid part of a metric name.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Strips the parentheses around an expression, including the invisible groups that `macro_rules!` adds.
pub(crate) fn plain(value: &Expr) -> &Expr {
    match value {
        Expr::Group(group) => plain(&group.expr),
        Expr::Paren(paren) => plain(&paren.expr),
        _ => value,
    }
}

/// Returns the text of a string, integer or Boolean literal, or `None` for any other expression.
pub(crate) fn fixed(value: &Expr) -> Option<String> {
    match plain(value) {
        Expr::Lit(ExprLit { lit: Lit::Str(string), .. }) => Some(string.value()),
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => Some(number.base10_digits().to_owned()),
        Expr::Lit(ExprLit { lit: Lit::Bool(truth), .. }) => Some(truth.value.to_string()),
        _ => None,
    }
}

/// Returns the expression if it is a string literal.
pub(crate) fn string(value: &Expr) -> Option<&LitStr> {
    match plain(value) {
        Expr::Lit(ExprLit { lit: Lit::Str(string), .. }) => Some(string),
        _ => None,
    }
}

/// Returns the value of a numeric literal, which may be negated.
fn number(value: &Expr) -> Option<f64> {
    match plain(value) {
        Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) => number.base10_parse().ok(),
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse().ok(),
        Expr::Unary(unary) if matches!(unary.op, syn::UnOp::Neg(_)) => number(&unary.expr).map(|number| -number),
        _ => None,
    }
}

/// Parses bucket bounds and reports mistakes in `errors`.
pub(crate) fn buckets(span: Span, bounds: &[Expr], errors: &mut Errors) -> Vec<f64> {
    let mut numbers: Vec<f64> = Vec::new();
    for bound in bounds {
        let Some(number) = number(bound).filter(|number| number.is_finite()) else {
            errors.at(
                bound.span(),
                "a bucket bound must be a finite number, such as `0.25` (durations are in seconds); `+Inf` is implied",
            );
            continue;
        };
        if numbers.last().is_some_and(|last| *last >= number) {
            errors.at(bound.span(), "bucket bounds must increase: sort them and remove duplicates");
        }
        numbers.push(number);
    }
    if bounds.is_empty() {
        errors.at(span, "`buckets` needs at least one bound: `buckets(0.01, 0.1, 1.0)`");
    }
    numbers
}

/// Parses quantiles and reports mistakes in `errors`.
pub(crate) fn quantiles(span: Span, quantiles: &[Expr], errors: &mut Errors) -> Vec<f64> {
    let mut numbers: Vec<f64> = Vec::new();
    for quantile in quantiles {
        let Some(number) = number(quantile).filter(|number| (0.0..=1.0).contains(number)) else {
            errors
                .at(quantile.span(), "a quantile must be a number from 0 to 1, such as `0.99` for the 99th percentile");
            continue;
        };
        if numbers.contains(&number) {
            errors.at(quantile.span(), "this quantile is given twice: remove one of them");
        }
        numbers.push(number);
    }
    if quantiles.is_empty() || quantiles.len() > MAX_QUANTILES {
        errors.at(span, format_args!("`quantiles` takes 1 to {MAX_QUANTILES} numbers: `quantiles(0.5, 0.99)`"));
    }
    numbers
}

/// The maximum number of quantiles, as in `metrics-core`.
const MAX_QUANTILES: usize = 32;

/// Checks that a label name is valid, is not reserved, and is not in `known`.
pub(crate) fn label_name<'a>(name: &str, span: Span, mut known: impl Iterator<Item = &'a str>, errors: &mut Errors) {
    if !is_name(name) {
        errors.at(span, format_args!("label name `{name}` is invalid: write [a-zA-Z_][a-zA-Z0-9_]*"));
    } else if name.starts_with("__") {
        errors.at(span, "label names that begin with `__` are reserved by Prometheus: choose another name");
    } else if matches!(name, "le" | "quantile") {
        errors.at(span, format_args!("label `{name}` is reserved by Prometheus: choose another name"));
    } else if known.any(|known| known == name) {
        errors.at(span, format_args!("label `{name}` is given twice: remove one of them"));
    }
}

/// Returns true if the name contains a lowercase letter followed by an uppercase letter.
pub(crate) fn is_camel_case(name: &str) -> bool {
    name.as_bytes().windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
}

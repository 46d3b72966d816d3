//! Parses the arguments of `#[instrument(..)]`.
//!
//! Each argument is first parsed by its form alone (`name`, `name = value`, `name in values`, a literal, a list), then
//! interpreted as an option or a label. A mistake in one argument therefore does not hide mistakes in the others.

mod form;
mod mistaken;
mod usage;

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, Lit};

use super::model::{Args, CallValue, Family, Function, InFlight, Kind, Known, Label, LabelValue, variable};
use super::scope::{CallScope, first_await};
use super::ty;
use crate::errors::Errors;
use crate::krate;
use crate::literal::{self, fixed, is_name, plain, string};
use form::Value;
pub(super) use form::{Arg, split};
use mistaken::{OPTIONS_OF_TRACING, mistaken_option, of_tracing};
use usage::usage;

const MAX_LABELS: usize = 8;
/// The options that determine the type of the default latency family.
const TYPE_OPTIONS: [&str; 3] = ["buckets", "histogram", "quantiles"];
const OPTIONS: [&str; 11] = [
    "prefix",
    "latency",
    "exceptions",
    "cancelled",
    "in_flight",
    "buckets",
    "histogram",
    "quantiles",
    "exception_if",
    "max_series",
    "crate",
];

/// Parses and checks the arguments of a function's attribute.
pub(super) fn parse(args: TokenStream, function: &Function, errors: &mut Errors) -> Args {
    check(split(args, errors), function, errors)
}

/// Returns the path given by the `crate` option, or else the detected path.
pub(super) fn krate(args: &[Arg]) -> Option<syn::Path> {
    let given = args.iter().find_map(|arg| match &arg.value {
        Value::Expr { value: Expr::Path(path), .. } if arg.name == "crate" => Some(path.path.clone()),
        _ => None,
    });
    // If detection fails, the check of each method's arguments reports the error.
    given.or_else(|| krate::path("instrument").ok().flatten())
}

/// Interprets the arguments and adds mistakes to `errors`.
pub(super) fn check(parsed: impl IntoIterator<Item = Arg>, function: &Function, errors: &mut Errors) -> Args {
    let mut check =
        Check { scope: CallScope::of(function), function, errors, args: Args::default(), given: Vec::new() };
    for arg in parsed {
        check.arg(arg);
    }
    check.room_for_function();
    check.type_of_latency();
    if !check.given.iter().any(|(option, _)| option == "crate") {
        match krate::path("instrument") {
            Ok(found) => check.args.krate = found,
            Err(error) => check.errors.add(error),
        }
    }
    check.args
}

struct Check<'a> {
    scope: CallScope,
    function: &'a Function,
    errors: &'a mut Errors,
    args: Args,
    /// Options seen so far, and their positions.
    given: Vec<(String, Span)>,
}

impl Check<'_> {
    fn arg(&mut self, arg: Arg) {
        let name = arg.name.unraw().to_string();
        let span = arg.name.span();
        let is_raw = arg.name.to_string().starts_with("r#");
        // A label with a list may have the name of the flag `histogram`; with any other value, it is a mistake.
        let is_flag_as_label = name == "histogram" && !matches!(arg.value, Value::None);
        if is_raw || is_flag_as_label || !OPTIONS.contains(&name.as_str()) {
            if let Some(message) = mistaken_option(&arg) {
                self.errors.at(span, message);
            } else {
                self.label(name, arg);
            }
            return;
        }
        if self.given.iter().any(|(given, _)| *given == name) {
            self.errors.at(span, format_args!("option `{name}` is given twice: remove one of them"));
            return;
        }
        self.given.push((name.clone(), span));
        match (name.as_str(), arg.value) {
            ("in_flight", Value::None) => self.args.in_flight = Some(InFlight::Default),
            ("buckets", Value::List(bounds)) => self.buckets(span, &bounds),
            ("buckets", _) => self.errors.at(span, "write the bounds in parentheses: `buckets(0.01, 0.1, 1.0)`"),
            ("histogram", _) => self.args.histogram = true,
            ("quantiles", Value::List(quantiles)) => {
                self.args.quantiles = Some(literal::quantiles(span, &quantiles, self.errors));
            }
            ("quantiles", _) => self.errors.at(span, "write the quantiles in parentheses: `quantiles(0.5, 0.99)`"),
            (_, Value::Expr { value, known: None }) => self.option(&name, span, value),
            _ => self.errors.at(span, format_args!("option `{name}` needs a value: `{}`", usage(&name))),
        }
    }

    fn option(&mut self, name: &str, span: Span, value: Expr) {
        match name {
            "prefix" => self.prefix(&value),
            "max_series" => self.max_series(&value),
            "latency" => self.args.latency = self.family(name, value),
            "exceptions" => self.args.exceptions = self.family(name, value),
            "in_flight" => self.args.in_flight = self.family(name, value).map(InFlight::Family),
            "cancelled" if !self.function.is_cancellable() => {
                let message = "only a function that is `async` or returns a future can be canceled: remove `cancelled`";
                self.errors.at(span, message);
            }
            "cancelled" => self.args.cancelled = self.family(name, value),
            "exception_if" if matches!(plain(&value), Expr::Lit(_)) => {
                self.errors.at(value.span(), format_args!("`exception_if` takes a closure: write `{}`", usage(name)));
            }
            "exception_if" => self.args.exception_if = Some(value),
            _ => {
                if let Expr::Path(path) = value {
                    self.args.krate = Some(path.path);
                }
            }
        }
    }

    /// Returns the family given by an option. If the value is a literal, adds a mistake and returns `None`.
    fn family(&mut self, option: &str, value: Expr) -> Option<Family> {
        if matches!(plain(&value), Expr::Lit(_)) {
            let default = if option == "in_flight" { "`in_flight` alone, or " } else { "" };
            let message = format!("`{option}` takes a family: write {default}`{}`", usage(option));
            self.errors.at(value.span(), message);
            return None;
        }
        self.not_awaited(&value);
        let per_call = self.scope.first_in(&value).is_some() || self.scope.may_begin_with_generic(&value);
        Some(Family { value, per_call })
    }

    /// Checks that an expression that is evaluated before a call begins does not wait. If the future were dropped
    /// during the wait, the call would be counted as an exception although it was canceled.
    fn not_awaited(&mut self, value: &Expr) {
        if let Some(awaited) = first_await(value.to_token_stream()) {
            let message = "labels and families are evaluated before the call begins: await the value in the caller and pass it as an argument";
            self.errors.at(awaited.span(), message);
        }
    }

    fn prefix(&mut self, value: &Expr) {
        let Some(prefix) = string(value) else {
            self.errors.at(value.span(), "write the prefix as a string: `prefix = \"my_service\"`");
            return;
        };
        let name = prefix.value();
        if !is_name(&name) {
            let message = "the prefix is invalid: write [a-zA-Z_][a-zA-Z0-9_]*";
            self.errors.at(prefix.span(), message);
        }
        self.args.prefix = Some(name);
    }

    fn max_series(&mut self, value: &Expr) {
        let number = match plain(value) {
            Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.errors.at(value.span(), "write a whole number: `max_series = 2_000`");
        }
        self.args.max_series = number;
    }

    /// Checks that the options for the type of the latency family fit together.
    fn type_of_latency(&mut self) {
        let span_of = |name: &str| self.given.iter().find(|(given, _)| given == name).map(|(_, span)| *span);
        for option in TYPE_OPTIONS {
            if let (Some(span), Some(_)) = (span_of(option), span_of("latency")) {
                let remedy = match option {
                    "histogram" => "declare that family as a `Histogram` with `.native()`",
                    _ => "set the option on that family's builder",
                };
                self.errors.at(span, format_args!("`{option}` has no effect together with `latency`: {remedy}"));
            }
        }
        if let (Some(span), Some(_)) = (span_of("quantiles"), span_of("histogram").or(span_of("buckets"))) {
            let other = if span_of("histogram").is_some() { "histogram" } else { "buckets" };
            self.errors.at(
                span,
                format_args!(
                    "`quantiles` has no effect together with `{other}`: remove `{other}` to export a summary, or remove `quantiles` and calculate quantiles in PromQL"
                ),
            );
        }
    }

    fn buckets(&mut self, span: Span, bounds: &[Expr]) {
        self.args.buckets = Some(literal::buckets(span, bounds, self.errors));
    }

    /// Adds a label. If the argument is invalid, adds a mistake to `errors` and returns `None`.
    fn label(&mut self, name: String, Arg { name: ident, value }: Arg) -> Option<()> {
        let span = ident.span();
        self.label_name(&name, span);
        let value = match value {
            Value::None if self.is_kind(&ident) => kind(None, None, span),
            Value::Known(known) if self.is_kind(&ident) => kind(None, Some(known), span),
            Value::Expr { value, known } if matches!(plain(&value), Expr::Closure(_)) => match name.as_str() {
                "kind" => kind(Some(value), known, span),
                _ => LabelValue::Result(Box::new(CallValue { value, known })),
            },
            Value::Path(path) => LabelValue::Fixed(path.value()),
            Value::None => self.variable(ident, None)?,
            Value::Known(known) => self.variable(ident, Some(known))?,
            Value::Expr { value, known } => match (fixed(&value), known) {
                (Some(fixed), None) => LabelValue::Fixed(fixed),
                (_, known) => {
                    self.not_awaited(&value);
                    per_call(value, known)
                }
            },
            Value::List(_) => {
                let message = format!("unknown option `{name}`: options are `{}`", OPTIONS.join("`, `"));
                self.errors.at(span, message);
                return None;
            }
        };
        let known = match &value {
            LabelValue::Fixed(_) => None,
            LabelValue::Call(value) | LabelValue::Result(value) => value.known.as_ref(),
            LabelValue::Kind(kind) => kind.known.as_ref(),
        };
        if let Some(known) = known {
            self.known(known);
        }
        if !matches!(value, LabelValue::Fixed(_) | LabelValue::Call(_)) {
            self.late(&name, span);
        }
        self.args.labels.push(Label { name, value });
        Some(())
    }

    /// Returns the value of a label that is named after an argument of the function. If there is no such argument, adds
    /// a mistake and returns `None`.
    fn variable(&mut self, ident: Ident, known: Option<Known>) -> Option<LabelValue> {
        let is_keyword = syn::parse_str::<Ident>(&ident.to_string()).is_err();
        let is_constant = ident.to_string().starts_with(char::is_uppercase) && !self.scope.binds(&ident);
        if ident == "skip" && known.is_none() {
            let message = "`skip` applies only to methods of an annotated `impl` block: remove the attribute";
            self.errors.at(ident.span(), message);
        } else if is_keyword {
            self.errors.at(ident.span(), format_args!("`{ident}` is a keyword: write `{ident} = expr`"));
        } else if is_constant {
            let label = ident.to_string().to_lowercase();
            let message = format!("`{ident}` is not an argument: write `{label} = {ident}` for a label with its value");
            self.errors.at(ident.span(), message);
        } else if !self.scope.binds(&ident) && OPTIONS_OF_TRACING.iter().any(|option| ident == option) {
            self.errors.at(ident.span(), of_tracing(&ident.to_string()));
        } else if !self.scope.binds(&ident) {
            self.errors
                .at(ident.span(), format_args!("the function has no argument `{ident}`: write `{ident} = expr`"));
        } else {
            return Some(per_call(variable(ident), known));
        }
        None
    }

    /// Returns true if the label is the error's kind: it is named `kind`, and the function has no argument of that
    /// name.
    fn is_kind(&self, ident: &Ident) -> bool {
        ident == "kind" && !self.scope.binds(ident)
    }

    /// Checks a label whose value is known only when the call ends.
    fn late(&mut self, name: &str, span: Span) {
        if ty::nameable(&self.function.sig.output).is_none() {
            self.errors
                .at(span, format_args!("label `{name}` needs a result, but the function never returns: remove it"));
        }
    }

    /// Checks that the label limit leaves room for the `function` label, which is added if all other labels are known
    /// only when the call ends.
    fn room_for_function(&mut self) {
        if self.args.labels.len() == MAX_LABELS && self.args.is_named_by_function() {
            let span = self.function.sig.ident.span();
            self.errors.at(span, format_args!("more than {MAX_LABELS} labels, including `function`: remove some"));
        }
    }

    fn label_name(&mut self, name: &str, span: Span) {
        let known = self.args.labels.iter().map(|label| label.name.as_str());
        literal::label_name(name, span, known, self.errors);
        if self.args.labels.len() == MAX_LABELS {
            self.errors
                .at(span, format_args!("more than {MAX_LABELS} labels: remove some, as each multiplies the series"));
        }
    }

    /// Checks that the list after `in` uses only statics, because the list is evaluated once, possibly before any call.
    fn known(&mut self, known: &Known) {
        if let Some(name) = self.scope.first_in(&known.values) {
            let remedy = if name == "Self" { "write the name of the type" } else { "use a static list" };
            let message =
                format!("the values after `in` are evaluated before any call, when `{name}` does not exist: {remedy}");
            self.errors.at(name.span(), message);
        }
    }
}

fn kind(value: Option<Expr>, known: Option<Known>, span: Span) -> LabelValue {
    LabelValue::Kind(Box::new(Kind { value, known, span }))
}

fn per_call(value: Expr, known: Option<Known>) -> LabelValue {
    LabelValue::Call(Box::new(CallValue { value, known }))
}

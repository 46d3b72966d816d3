//! Parses the struct and its `#[metrics(..)]` and `#[metric(..)]` attributes.

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DataStruct, DeriveInput, Error, Expr, Fields, LitInt, LitStr, Meta, Path, Token, Type,
    parse_quote, parse_str,
};

use super::{ConstLabel, Field, FieldKind, Group, Help, Label, Metric};
use crate::errors::Errors;
use crate::{krate, literal, options};

/// Functions that the derive generates in addition to the accessors.
const GENERATED: [&str; 3] = ["register", "register_in", "global"];

/// The names that `allow` accepts and the corresponding variants of `StyleRule`.
const RULES: [(&str, &str); 8] = [
    ("counter_total", "CounterTotal"),
    ("info_suffix", "InfoSuffix"),
    ("reserved", "Reserved"),
    ("type_in_name", "TypeInName"),
    ("colon", "Colon"),
    ("camel_case", "CamelCase"),
    ("abbreviated_unit", "AbbreviatedUnit"),
    ("base_unit", "BaseUnit"),
];

/// The options that a flattened field accepts.
const FLATTEN: [&str; 3] = ["flatten", "prefix", "const_labels"];

const NAMED: &str = "`Metrics` can only be derived for a struct with named fields, each of which is a metric";

pub(super) fn parse(input: TokenStream, errors: &mut Errors) -> Option<Group> {
    let input: DeriveInput = syn::parse2(input).map_err(|error| errors.add(error)).ok()?;
    let mut group = Group {
        vis: input.vis.clone(),
        name: input.ident.clone(),
        generics: input.generics.clone(),
        prefix: String::new(),
        const_labels: Vec::new(),
        global: false,
        strict: false,
        krate: None,
        fields: Vec::new(),
        broken: false,
    };
    group_options(&input.attrs, &mut group, errors);
    if group.krate.is_none() {
        group.krate = krate::path("metrics").map_err(|error| errors.add(error)).ok()?;
    }
    let mut known = Vec::new();
    for label in &group.const_labels {
        check_label(&label.name, &mut known, group.strict, errors);
    }
    if let Some(generic) = input.generics.params.first() {
        errors.at(
            generic.span(),
            "a struct of metrics cannot be generic, because it is registered once, by name: remove the generics",
        );
        (group.broken, group.global) = (true, false);
    }
    match fields(&input) {
        Ok(fields) => fields.for_each(|given| field(given, &mut group, errors)),
        Err(span) => {
            errors.at(span, NAMED);
            group.broken = true;
        }
    }
    Some(group)
}

/// Returns the named fields, or the span at which to report that the item has no named fields.
fn fields(input: &DeriveInput) -> Result<impl Iterator<Item = &syn::Field>, Span> {
    match &input.data {
        Data::Struct(DataStruct { fields: Fields::Named(fields), .. }) => Ok(fields.named.iter()),
        Data::Struct(_) => Err(input.ident.span()),
        Data::Enum(data) => Err(data.enum_token.span),
        Data::Union(data) => Err(data.union_token.span),
    }
}

/// Adds a field to `group`.
fn field(field: &syn::Field, group: &mut Group, errors: &mut Errors) {
    let Some(ident) = &field.ident else { return };
    let mut kind = field_kind(&field.attrs, ident, errors);
    check_labels(&mut kind, group, errors);
    match &kind {
        FieldKind::Metric(metric) => {
            check(metric, ident, group, errors);
            if !metric.labels.is_empty() && GENERATED.contains(&ident.to_string().as_str()) {
                let message = format_args!(
                    "`{ident}` is also the name of a function that the derive generates: rename the field"
                );
                errors.at(ident.span(), message);
                kind = FieldKind::Broken;
            }
        }
        FieldKind::Flatten { prefix, .. } => check_flattened(&field.ty, prefix, ident, group, errors),
        FieldKind::Broken => {}
    }
    group.broken |= matches!(kind, FieldKind::Broken);
    group.fields.push(Field { vis: field.vis.clone(), ident: ident.clone(), ty: field.ty.clone(), kind });
}

/// Checks all properties of a metric that do not depend on its type.
fn check(metric: &Metric, ident: &Ident, group: &Group, errors: &mut Errors) {
    let (name, span) = (metric.name.value(), metric.name.span());
    if name.contains(':') && !metric.allows("Colon") {
        errors.at(span, "colons are reserved for recording rules: write `_`, or `allow(colon)`");
    } else if !literal::is_name(&name.replace(':', "_")) {
        errors.at(span, format_args!("metric name `{name}` is invalid: write [a-zA-Z_][a-zA-Z0-9_]*"));
    }
    if matches!(&metric.help, Help::Text(text) if text.is_empty()) {
        errors.at(
            ident.span(),
            "a metric needs a help text: write a doc comment on the field, or `#[metric(help = \"..\")]`",
        );
    }
    for field in &group.fields {
        match &field.kind {
            FieldKind::Metric(other) if other.name.value() == name => {
                errors.at(span, format_args!("`{}` is also exported as `{name}`: rename one of them", field.ident));
            }
            FieldKind::Metric(other) if base_name(other) == base_name(metric) => {
                let message =
                    "has the same name in OpenMetrics, which does not count `_total` as part of it: rename one of them";
                errors.at(span, format_args!("`{}` {message}", field.ident));
            }
            _ => {}
        }
    }
    if let Some(unit) = &metric.unit {
        check_unit(unit, &group.exported(&metric.name), errors);
    }
}

/// Returns the metric's name in OpenMetrics, which omits the counter suffix `_total`.
fn base_name(metric: &Metric) -> String {
    let name = metric.name.value();
    // If the field allows `counter_total`, a metric whose name ends in `_total` is not necessarily a counter.
    if metric.allows("CounterTotal") { name } else { name.strip_suffix("_total").unwrap_or(&name).to_owned() }
}

fn check_unit(unit: &LitStr, name: &str, errors: &mut Errors) {
    let (span, unit) = (unit.span(), unit.value());
    let (base, total) = name.strip_suffix("_total").map_or((name, ""), |base| (base, "_total"));
    if unit.is_empty() {
        errors.at(span, "the unit is empty: write its name, such as `unit = \"seconds\"`");
    } else if !base.ends_with(&format!("_{unit}")) {
        errors.at(span, format_args!("the name must end with its unit: `{base}_{unit}{total}`"));
    }
}

fn check_flattened(ty: &Type, prefix: &str, ident: &Ident, group: &Group, errors: &mut Errors) {
    let text = |ty: &Type| ty.to_token_stream().to_string();
    let is_same = |field: &&Field| {
        matches!(&field.kind, FieldKind::Flatten { prefix: other, .. } if prefix == other)
            && text(&field.ty) == text(ty)
    };
    if let Some(Field { ident: other, .. }) = group.fields.iter().find(is_same) {
        let message = "is the same struct with the same metric names: add `prefix = \"..\"` to one of them";
        errors.at(ident.span(), format_args!("`{other}` {message}"));
    }
}

/// Checks a field's labels for mistakes and for conflicts with the struct's labels.
fn check_labels(kind: &mut FieldKind, group: &Group, errors: &mut Errors) {
    let (labels, const_labels, strict) = match kind {
        FieldKind::Metric(metric) => {
            let strict = group.strict && !metric.allows("CamelCase");
            (&mut metric.labels[..], &metric.const_labels, strict)
        }
        FieldKind::Flatten { const_labels, .. } => (&mut [][..], &*const_labels, group.strict),
        FieldKind::Broken => return,
    };
    let mut known: Vec<String> = group.const_labels.iter().map(|label| label.name.value()).collect();
    for label in const_labels {
        check_label(&label.name, &mut known, strict, errors);
    }
    for label in labels {
        if known.contains(&label.name.value()) {
            // Rename the accessor's parameter because a duplicate parameter would cause a second error.
            label.ident = Ident::new(&format!("__metrics_{}", known.len()), label.ident.span());
        }
        check_label(&label.name, &mut known, strict, errors);
    }
}

/// Checks that a label name is valid and is not in `known`, and then adds it to `known`.
fn check_label(name: &LitStr, known: &mut Vec<String>, strict: bool, errors: &mut Errors) {
    let text = name.value();
    literal::label_name(&text, name.span(), known.iter().map(String::as_str), errors);
    if strict && literal::is_camel_case(&text) {
        errors.at(name.span(), "label names must be in `snake_case`: rename the label");
    }
    known.push(text);
}

/// Parses `#[metrics(..)]` into `group`.
fn group_options(attrs: &[Attribute], group: &mut Group, errors: &mut Errors) {
    options::each(attrs, "metrics", errors, |meta, errors| {
        if meta.path.is_ident("prefix") {
            group.prefix = prefix(meta, errors)?;
        } else if meta.path.is_ident("const_labels") {
            group.const_labels = options::list(meta, const_label)?;
        } else if meta.path.is_ident("global") {
            group.global = true;
        } else if meta.path.is_ident("strict") {
            group.strict = true;
        } else if meta.path.is_ident("crate") {
            group.krate = Some(meta.value()?.call(Path::parse_mod_style)?);
        } else {
            return Err(
                meta.error("unknown option: a struct takes `prefix`, `const_labels`, `global`, `strict` and `crate`")
            );
        }
        Ok(())
    });
}

/// Parses `#[metric(..)]` and the doc comment.
fn field_kind(attrs: &[Attribute], ident: &Ident, errors: &mut Errors) -> FieldKind {
    let mut flattened_prefix = String::new();
    let mut metric = Metric {
        name: text_of(ident),
        help: help(attrs),
        labels: Vec::new(),
        unit: None,
        buckets: None,
        quantiles: None,
        native: false,
        max_series: None,
        const_labels: Vec::new(),
        allowed: Vec::new(),
    };
    let given = options::each(attrs, "metric", errors, |meta, errors| {
        if meta.path.is_ident("labels") {
            metric.labels = labels(meta, errors)?;
        } else if meta.path.is_ident("rename") {
            metric.name = meta.value()?.parse()?;
        } else if meta.path.is_ident("help") {
            metric.help = given_help(meta.value()?.parse()?);
        } else if meta.path.is_ident("unit") {
            metric.unit = Some(meta.value()?.parse()?);
        } else if meta.path.is_ident("buckets") {
            let bounds = options::list(meta, Parse::parse)?;
            metric.buckets = Some(literal::buckets(meta.path.span(), &bounds, errors));
        } else if meta.path.is_ident("quantiles") {
            let quantiles = options::list(meta, Parse::parse)?;
            metric.quantiles = Some(literal::quantiles(meta.path.span(), &quantiles, errors));
        } else if meta.path.is_ident("native") {
            metric.native = true;
        } else if meta.path.is_ident("max_series") {
            metric.max_series = Some(meta.value()?.parse::<LitInt>()?.base10_parse()?);
        } else if meta.path.is_ident("const_labels") {
            metric.const_labels = options::list(meta, const_label)?;
        } else if meta.path.is_ident("allow") {
            metric.allowed = options::list(meta, allowed)?;
        } else if meta.path.is_ident("prefix") {
            flattened_prefix = prefix(meta, errors)?;
        } else if !meta.path.is_ident("flatten") {
            let message = "unknown option: a field takes `labels`, `rename`, `help`, `unit`, `buckets`, `quantiles`, `native`, `max_series`, `const_labels`, `allow`, `flatten` and `prefix`";
            return Err(meta.error(message));
        }
        Ok(())
    });
    let Some(given) = given else { return FieldKind::Broken };
    if given.iter().any(|name| name == "flatten") {
        for name in given.iter().filter(|name| !FLATTEN.iter().any(|option| name == option)) {
            let message = "this option does not apply to a flattened struct: set it on the fields of that struct";
            errors.at(name.span(), message);
        }
        return FieldKind::Flatten { prefix: flattened_prefix, const_labels: metric.const_labels };
    }
    if let Some(name) =
        given.iter().find(|name| *name == "quantiles").filter(|_| metric.native || metric.buckets.is_some())
    {
        errors
            .at(name.span(), "`quantiles` has no effect on a histogram: remove it, and calculate quantiles in PromQL");
    }
    if let Some(name) = given.iter().find(|name| *name == "prefix") {
        errors.at(
            name.span(),
            "`prefix` applies only to a flattened struct: to change the name of a metric, write `rename = \"..\"`",
        );
    }
    FieldKind::Metric(metric)
}

fn prefix(meta: &ParseNestedMeta<'_>, errors: &mut Errors) -> syn::Result<String> {
    let prefix: LitStr = meta.value()?.parse()?;
    if !literal::is_name(&prefix.value()) {
        errors.at(prefix.span(), "the prefix is invalid: write [a-zA-Z_][a-zA-Z0-9_]*");
    }
    Ok(prefix.value())
}

/// Parses an option such as `labels(path: &str, method: Method)`.
fn labels(meta: &ParseNestedMeta<'_>, errors: &mut Errors) -> syn::Result<Vec<Label>> {
    let labels = options::list(meta, |input| {
        let ident = input.call(Ident::parse_any)?;
        if input.parse::<Option<Token![:]>>()?.is_none() {
            return Err(Error::new(
                ident.span(),
                format!("a label needs the type of its values: write `{ident}: &str`"),
            ));
        }
        let mut ty: Type = input.parse()?;
        if is_string(&ty) {
            errors.at(ty.span(), format_args!("a label value does not need to be a `String`: write `{ident}: &str`"));
            ty = parse_quote!(&str);
        }
        Ok(Label { name: text_of(&ident), ident: parameter(ident)?, ty })
    })?;
    if labels.is_empty() {
        let message = "`labels` needs at least one label with the type of its values: `labels(path: &str)`";
        return Err(Error::new(meta.path.span(), message));
    }
    Ok(labels)
}

fn is_string(ty: &Type) -> bool {
    match ty {
        Type::Reference(reference) => is_string(&reference.elem),
        Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == "String"),
        _ => false,
    }
}

/// Returns the accessor's parameter for a label, as a raw identifier if the label's name is a keyword.
fn parameter(label: Ident) -> syn::Result<Ident> {
    let name = label.to_string();
    if matches!(name.as_str(), "self" | "Self" | "super" | "crate" | "_") {
        let message = format!("`{name}` cannot be the name of a parameter of the accessor: choose another label");
        return Err(Error::new(label.span(), message));
    }
    let is_keyword = parse_str::<Ident>(&name).is_err();
    Ok(if is_keyword { Ident::new_raw(&name, label.span()) } else { label })
}

/// Parses a rule such as `base_unit` and returns the corresponding variant of `StyleRule`.
fn allowed(input: ParseStream<'_>) -> syn::Result<Ident> {
    let rule = input.call(Ident::parse_any)?;
    let known = RULES.iter().find(|(name, _)| rule == *name);
    known.map(|(_, variant)| Ident::new(variant, rule.span())).ok_or_else(|| {
        let names: Vec<&str> = RULES.iter().map(|(name, _)| *name).collect();
        Error::new(rule.span(), format!("unknown style rule: write one of `{}`", names.join("`, `")))
    })
}

/// Parses a constant label such as `zone = "eu"`.
fn const_label(input: ParseStream<'_>) -> syn::Result<ConstLabel> {
    let name = text_of(&input.call(Ident::parse_any)?);
    input.parse::<Token![=]>()?;
    Ok(ConstLabel { name, value: input.parse::<LitStr>()?.value() })
}

fn text_of(ident: &Ident) -> LitStr {
    LitStr::new(&ident.unraw().to_string(), ident.span())
}

/// Returns the help text given by the `help` option.
fn given_help(help: Expr) -> Help {
    match literal::string(&help) {
        Some(text) => Help::Text(text.value().trim().to_owned()),
        None => Help::Given(help.into_token_stream()),
    }
}

/// Returns the first paragraph of the doc comment as one line, or all lines if the comment contains macros.
fn help(attrs: &[Attribute]) -> Help {
    let docs: Vec<&Expr> = attrs.iter().filter_map(doc).collect();
    let texts: Option<Vec<LitStr>> = docs.iter().map(|doc| literal::string(doc).cloned()).collect();
    match texts {
        Some(texts) => Help::Text(first_paragraph(texts.iter().map(LitStr::value))),
        None => Help::Docs(docs.into_iter().cloned().collect()),
    }
}

fn doc(attr: &Attribute) -> Option<&Expr> {
    match &attr.meta {
        Meta::NameValue(doc) if doc.path.is_ident("doc") => Some(&doc.value),
        _ => None,
    }
}

fn first_paragraph(docs: impl Iterator<Item = String>) -> String {
    let text: Vec<String> = docs.collect();
    let text = text.join("\n");
    let lines = text.lines().map(str::trim);
    let paragraph: Vec<&str> = lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty()).collect();
    paragraph.join(" ")
}

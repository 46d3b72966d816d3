//! Parsing of the struct.

use proc_macro2::{Ident, Span, TokenStream};
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Expr, Fields, LitInt, LitStr, Meta, Path, Token, Type, parenthesized};

use super::{Field, FieldKind, Group, Label, Metric};
use crate::errors::Errors;
use crate::literal;

/// What the derive writes beside the accessors.
const GENERATED: [&str; 3] = ["register", "register_in", "global"];

/// Rules of style by the name that `allow` takes.
const RULES: [(&str, &str); 7] = [
    ("counter_total", "CounterTotal"),
    ("reserved", "Reserved"),
    ("type_in_name", "TypeInName"),
    ("colon", "Colon"),
    ("camel_case", "CamelCase"),
    ("abbreviated_unit", "AbbreviatedUnit"),
    ("base_unit", "BaseUnit"),
];

const NAMED: &str = "`Metrics` is derived for a struct with named fields, each of them a metric";

pub(super) fn parse(input: TokenStream) -> Result<Group, TokenStream> {
    let input: DeriveInput = syn::parse2(input).map_err(|error| error.to_compile_error())?;
    let mut errors = Errors::default();
    let fields = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => &fields.named,
            Fields::Unnamed(_) | Fields::Unit => {
                errors.at(input.ident.span(), NAMED);
                return errors.finish(None);
            }
        },
        Data::Enum(data) => {
            errors.at(data.enum_token.span, NAMED);
            return errors.finish(None);
        }
        Data::Union(data) => {
            errors.at(data.union_token.span, NAMED);
            return errors.finish(None);
        }
    };
    if let Some(generic) = input.generics.params.first() {
        errors.at(generic.span(), "a struct of metrics has no generics: its metrics are registered by name, once");
    }
    let mut group = Group {
        vis: input.vis.clone(),
        name: input.ident.clone(),
        prefix: String::new(),
        const_labels: Vec::new(),
        global: false,
        strict: false,
        krate: None,
        fields: Vec::new(),
    };
    group_options(&input.attrs, &mut group, &mut errors);
    for field in fields {
        let Some(ident) = &field.ident else { continue };
        let kind = field_kind(&field.attrs, ident, &mut errors);
        if let FieldKind::Metric(metric) = &kind {
            check(metric, ident, &group, &mut errors);
        }
        group.fields.push(Field { vis: field.vis.clone(), ident: ident.clone(), ty: field.ty.clone(), kind });
    }
    errors.finish(Some(group))
}

/// What can be told of a metric without its type.
fn check(metric: &Metric, ident: &Ident, group: &Group, errors: &mut Errors) {
    let name = &metric.name;
    if !literal::is_name(name) {
        errors.at(ident.span(), format_args!("`{name}` cannot be the name of a metric: write [a-zA-Z_][a-zA-Z0-9_]*"));
    }
    if metric.help.is_empty() {
        errors.at(ident.span(), "a metric needs a help text: write a doc comment on the field");
    }
    let same = group.fields.iter().find(|field| matches!(&field.kind, FieldKind::Metric(other) if other.name == *name));
    if let Some(same) = same {
        errors.at(ident.span(), format_args!("`{}` is exported as `{name}` too: rename one of them", same.ident));
    }
    if !metric.labels.is_empty() && GENERATED.contains(&ident.to_string().as_str()) {
        errors.at(
            ident.span(),
            format_args!("`{ident}` is the name of a function that the derive writes: rename the field"),
        );
    }
    if let Some(unit) = &metric.unit
        && !name.strip_suffix("_total").unwrap_or(name).ends_with(&format!("_{unit}"))
    {
        errors.at(ident.span(), format_args!("the name must end in its unit: `{name}_{unit}`"));
    }
}

/// `#[metrics(..)]`
fn group_options(attrs: &[Attribute], group: &mut Group, errors: &mut Errors) {
    let mut given = Vec::new();
    each_option(attrs, "metrics", &mut given, errors, |meta, errors| {
        if meta.path.is_ident("prefix") {
            let prefix: LitStr = meta.value()?.parse()?;
            group.prefix = prefix.value();
            if !literal::is_name(&group.prefix) {
                let message = "a prefix of metric names is made of [a-zA-Z0-9_] and does not begin with a digit";
                errors.at(prefix.span(), message);
            }
        } else if meta.path.is_ident("const_labels") {
            group.const_labels = const_labels(meta, errors)?;
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

/// `#[metric(..)]` and the doc comment.
fn field_kind(attrs: &[Attribute], ident: &Ident, errors: &mut Errors) -> FieldKind {
    let mut flatten = None;
    let mut metric = Metric {
        name: ident.unraw().to_string(),
        help: help(attrs),
        labels: Vec::new(),
        unit: None,
        buckets: None,
        max_series: None,
        const_labels: Vec::new(),
        allowed: Vec::new(),
    };
    let mut given = Vec::new();
    each_option(attrs, "metric", &mut given, errors, |meta, errors| {
        let span = meta.path.span();
        if meta.path.is_ident("labels") {
            labels(meta, &mut metric, errors)?;
        } else if meta.path.is_ident("rename") {
            metric.name = meta.value()?.parse::<LitStr>()?.value();
        } else if meta.path.is_ident("unit") {
            metric.unit = Some(meta.value()?.parse::<LitStr>()?.value());
        } else if meta.path.is_ident("buckets") {
            let bounds;
            parenthesized!(bounds in meta.input);
            let bounds: Vec<Expr> = bounds.parse_terminated(syn::parse::Parse::parse, Token![,])?.into_iter().collect();
            metric.buckets = Some(literal::buckets(span, &bounds, errors));
        } else if meta.path.is_ident("max_series") {
            metric.max_series = Some(meta.value()?.parse::<LitInt>()?.base10_parse()?);
        } else if meta.path.is_ident("const_labels") {
            metric.const_labels = const_labels(meta, errors)?;
        } else if meta.path.is_ident("allow") {
            metric.allowed = allowed(meta)?;
        } else if meta.path.is_ident("flatten") {
            flatten = Some(span);
        } else {
            let message = "unknown option: a field takes `labels`, `rename`, `unit`, `buckets`, `max_series`, `const_labels`, `allow` and `flatten`";
            return Err(meta.error(message));
        }
        Ok(())
    });
    match flatten {
        Some(span) if given.len() > 1 => {
            errors.at(span, "the metrics of a flattened struct have options of their own: remove the others here");
            FieldKind::Flatten
        }
        Some(_) => FieldKind::Flatten,
        None => FieldKind::Metric(metric),
    }
}

/// `labels(path: &str, method: Method)`
fn labels(meta: &ParseNestedMeta<'_>, metric: &mut Metric, errors: &mut Errors) -> syn::Result<()> {
    let list;
    parenthesized!(list in meta.input);
    if list.is_empty() {
        errors.at(meta.path.span(), "write at least one label, with the type of its values: `labels(path: &str)`");
    }
    while !list.is_empty() {
        let ident = list.call(Ident::parse_any)?;
        if list.parse::<Option<Token![:]>>()?.is_none() {
            return Err(syn::Error::new(ident.span(), format!("write the type of the values too: `{ident}: &str`")));
        }
        let ty: Type = list.parse()?;
        let name = ident.unraw().to_string();
        literal::label_name(&name, ident.span(), metric.labels.iter().map(|label| label.name.as_str()), errors);
        metric.labels.push(Label { ident, name, ty });
        list.parse::<Option<Token![,]>>()?;
    }
    Ok(())
}

/// `allow(base_unit)`
fn allowed(meta: &ParseNestedMeta<'_>) -> syn::Result<Vec<Ident>> {
    let list;
    parenthesized!(list in meta.input);
    let rules = list.parse_terminated(Ident::parse_any, Token![,])?;
    let variant = |rule: Ident| {
        let known = RULES.iter().find(|(name, _)| rule == *name);
        known.map(|(_, variant)| Ident::new(variant, rule.span())).ok_or_else(|| {
            let names: Vec<&str> = RULES.iter().map(|(name, _)| *name).collect();
            syn::Error::new(rule.span(), format!("unknown rule: write one of `{}`", names.join("`, `")))
        })
    };
    rules.into_iter().map(variant).collect()
}

/// `const_labels(zone = "eu")`
fn const_labels(meta: &ParseNestedMeta<'_>, errors: &mut Errors) -> syn::Result<Vec<(String, String)>> {
    let mut labels: Vec<(String, String)> = Vec::new();
    let list;
    parenthesized!(list in meta.input);
    while !list.is_empty() {
        let ident = list.call(Ident::parse_any)?;
        list.parse::<Token![=]>()?;
        let value: LitStr = list.parse()?;
        let name = ident.unraw().to_string();
        literal::label_name(&name, ident.span(), labels.iter().map(|(name, _)| name.as_str()), errors);
        labels.push((name, value.value()));
        list.parse::<Option<Token![,]>>()?;
    }
    Ok(labels)
}

/// Calls `option` for each option of the attribute; one that is given twice is a mistake.
fn each_option(
    attrs: &[Attribute],
    attribute: &str,
    given: &mut Vec<String>,
    errors: &mut Errors,
    mut option: impl FnMut(&ParseNestedMeta<'_>, &mut Errors) -> syn::Result<()>,
) {
    for attr in attrs.iter().filter(|attr| attr.path().is_ident(attribute)) {
        let parsed = attr.parse_nested_meta(|meta| {
            let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
            if given.contains(&name) {
                let span: Span = meta.path.span();
                errors.at(span, format_args!("option `{name}` is given twice"));
            }
            given.push(name);
            option(&meta, errors)
        });
        if let Err(error) = parsed {
            errors.add(error);
        }
    }
}

/// The first paragraph of the doc comment, as one line.
fn help(attrs: &[Attribute]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("doc")) {
        if let Meta::NameValue(doc) = &attr.meta
            && let Some(text) = literal::string(&doc.value)
        {
            lines.extend(text.value().lines().map(|line| line.trim().to_owned()));
            // An empty `///` is a line too.
            if text.value().is_empty() {
                lines.push(String::new());
            }
        }
    }
    let paragraph: Vec<String> =
        lines.into_iter().skip_while(String::is_empty).take_while(|line| !line.is_empty()).collect();
    paragraph.join(" ")
}

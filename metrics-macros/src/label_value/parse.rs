//! Parses the enum.

use proc_macro2::{Ident, TokenStream};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::token::{Struct, Union};
use syn::{Attribute, Data, DataStruct, DataUnion, DeriveInput, Fields, LitStr, Path, Variant};

use super::ClosedSet;
use super::case::Case;
use crate::errors::Errors;
use crate::{krate, options};

pub(super) fn parse(input: TokenStream, errors: &mut Errors) -> Option<ClosedSet> {
    let input: DeriveInput = syn::parse2(input).map_err(|error| errors.add(error)).ok()?;
    let mut options = options(&input.attrs, errors);
    if options.krate.is_none() {
        options.krate = krate::path("label").map_err(|error| errors.add(error)).ok()?;
    }
    let variants = match &input.data {
        Data::Enum(data) => data.variants.iter().collect(),
        Data::Struct(DataStruct { struct_token: Struct { span }, .. })
        | Data::Union(DataUnion { union_token: Union { span }, .. }) => {
            errors.at(*span, "a closed set of label values is an enum without data");
            Vec::new()
        }
    };
    if let Some(generics) = input.generics.params.first() {
        errors.at(generics.span(), "a closed set of label values has no generics");
    }
    if variants.is_empty() && matches!(input.data, Data::Enum(_)) {
        errors.at(input.ident.span(), "a closed set of label values has at least one value: add a variant");
    }
    let mut named: Vec<(Ident, String)> = Vec::new();
    for variant in &variants {
        let name = value(variant, options.case, errors);
        if let Some((other, _)) = named.iter().find(|(_, known)| *known == name) {
            errors.at(
                variant.ident.span(),
                format_args!("`{other}` is {name:?} too: rename one with `#[label(rename = \"..\")]`"),
            );
        }
        named.push((variant.ident.clone(), name));
    }
    let broken = variants.is_empty() || variants.iter().any(|variant| !matches!(variant.fields, Fields::Unit));
    let DeriveInput { vis, ident, generics, .. } = input;
    Some(ClosedSet { vis, name: ident, generics, variants: named, krate: options.krate, broken })
}

/// The text of a variant.
fn value(variant: &Variant, case: Case, errors: &mut Errors) -> String {
    if !matches!(variant.fields, Fields::Unit) {
        let message = "a variant with data stands for many values: remove the data, or implement `LabelValue` by hand";
        errors.at(variant.fields.span(), message);
    }
    rename(&variant.attrs, errors).unwrap_or_else(|| case.apply(&variant.ident.unraw().to_string()))
}

struct Options {
    case: Case,
    krate: Option<Path>,
}

/// `#[label(..)]` on the enum.
fn options(attrs: &[Attribute], errors: &mut Errors) -> Options {
    let mut options = Options { case: Case::Snake, krate: None };
    options::each(attrs, "label", errors, |meta, _| {
        if meta.path.is_ident("rename_all") {
            let name: LitStr = meta.value()?.parse()?;
            options.case = Case::parse(&name.value()).ok_or_else(|| {
                let names: Vec<&str> = Case::NAMES.iter().map(|(name, _)| *name).collect();
                syn::Error::new(name.span(), format!("write one of `{}`", names.join("`, `")))
            })?;
        } else if meta.path.is_ident("crate") {
            options.krate = Some(meta.value()?.call(Path::parse_mod_style)?);
        } else {
            return Err(meta.error("unknown option: an enum takes `rename_all = \"..\"` and `crate = path`"));
        }
        Ok(())
    });
    options
}

/// `#[label(rename = \"..\")]` on a variant.
fn rename(attrs: &[Attribute], errors: &mut Errors) -> Option<String> {
    let mut renamed = None;
    options::each(attrs, "label", errors, |meta, _| {
        if meta.path.is_ident("rename") {
            renamed = Some(meta.value()?.parse::<LitStr>()?.value());
            Ok(())
        } else {
            Err(meta.error("unknown option: a variant takes `rename = \"..\"`"))
        }
    });
    renamed
}

//! Parsing of the enum.

use proc_macro2::TokenStream;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Fields, LitStr, Path};

use super::ClosedSet;
use super::case::Case;
use crate::errors::Errors;

pub(super) fn parse(input: TokenStream) -> Result<ClosedSet, TokenStream> {
    let input: DeriveInput = syn::parse2(input).map_err(|error| error.to_compile_error())?;
    let mut errors = Errors::default();
    let variants = match &input.data {
        Data::Enum(data) => &data.variants,
        Data::Struct(data) => {
            errors.at(data.struct_token.span, "a closed set of label values is an enum without data");
            return errors.finish(None);
        }
        Data::Union(data) => {
            errors.at(data.union_token.span, "a closed set of label values is an enum without data");
            return errors.finish(None);
        }
    };
    if let Some(generics) = input.generics.params.first() {
        errors.at(generics.span(), "a closed set of label values has no generics");
    }
    if variants.is_empty() {
        errors.at(input.ident.span(), "a closed set of label values has at least one value: add a variant");
    }
    let options = options(&input.attrs, &mut errors);
    let mut named: Vec<(proc_macro2::Ident, String)> = Vec::new();
    for variant in variants {
        if !matches!(variant.fields, Fields::Unit) {
            let message =
                "a variant with data stands for many values: remove the data, or implement `LabelValue` by hand";
            errors.at(variant.fields.span(), message);
        }
        let name = rename(&variant.attrs, &mut errors)
            .unwrap_or_else(|| options.case.apply(&variant.ident.unraw().to_string()));
        if let Some((other, _)) = named.iter().find(|(_, known)| *known == name) {
            errors.at(
                variant.ident.span(),
                format_args!("`{other}` is {name:?} too: rename one with `#[label(rename = \"..\")]`"),
            );
        }
        named.push((variant.ident.clone(), name));
    }
    let DeriveInput { vis, ident, .. } = input;
    errors.finish(Some(ClosedSet { vis, name: ident, variants: named, krate: options.krate }))
}

struct Options {
    case: Case,
    krate: Option<Path>,
}

/// `#[label(..)]` on the enum.
fn options(attrs: &[Attribute], errors: &mut Errors) -> Options {
    let mut options = Options { case: Case::Snake, krate: None };
    each_option(attrs, errors, |meta| {
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
    each_option(attrs, errors, |meta| {
        if meta.path.is_ident("rename") {
            renamed = Some(meta.value()?.parse::<LitStr>()?.value());
            Ok(())
        } else {
            Err(meta.error("unknown option: a variant takes `rename = \"..\"`"))
        }
    });
    renamed
}

fn each_option(
    attrs: &[Attribute],
    errors: &mut Errors,
    mut option: impl FnMut(ParseNestedMeta<'_>) -> syn::Result<()>,
) {
    for attribute in attrs.iter().filter(|attribute| attribute.path().is_ident("label")) {
        if let Err(error) = attribute.parse_nested_meta(&mut option) {
            errors.add(error);
        }
    }
}

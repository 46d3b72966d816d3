//! Parses the enum and its `#[label(..)]` attributes.

use proc_macro2::TokenStream;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::token::{Struct, Union};
use syn::{Attribute, Data, DataStruct, DataUnion, DeriveInput, Fields, LitStr, Path, Variant};

use super::case::Case;
use super::{ClosedSet, Named};
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
            errors.at(*span, "`LabelValue` can only be derived for an enum: use an enum, or implement the trait");
            Vec::new()
        }
    };
    if variants.is_empty() && matches!(input.data, Data::Enum(_)) {
        errors.at(input.ident.span(), "an enum of label values needs at least one variant: add one");
    }
    let mut named: Vec<Named> = Vec::new();
    let has_mistaken_data = |variant: &Variant| !options.ignore_data && !variant.fields.is_empty();
    for variant in &variants {
        if has_mistaken_data(variant) {
            let message = format_args!(
                "`{}` has data: write `#[label(ignore_data)]` on the enum to use only the names of its variants, or compute the value with an expression, such as `kind = |error| ..`",
                variant.ident
            );
            errors.at(variant.fields.span(), message);
        }
        let renamed = rename(&variant.attrs, errors);
        let text = renamed.unwrap_or_else(|| options.case.apply(&variant.ident.unraw().to_string()));
        if let Some(Named { variant: other, .. }) = named.iter().find(|known| known.text == text) {
            errors.at(
                variant.ident.span(),
                format_args!(
                    "`{other}` also has the value {text:?}: rename one of them with `#[label(rename = \"..\")]`"
                ),
            );
        }
        named.push(Named { variant: variant.ident.clone(), text, is_unit: matches!(variant.fields, Fields::Unit) });
    }
    let broken = variants.is_empty() || variants.iter().copied().any(has_mistaken_data);
    let DeriveInput { vis, ident, generics, .. } = input;
    Some(ClosedSet { vis, name: ident, generics, variants: named, krate: options.krate, broken })
}

struct Options {
    case: Case,
    /// True if variants may have data. The data does not affect the label value.
    ignore_data: bool,
    krate: Option<Path>,
}

/// Parses `#[label(..)]` on the enum.
fn options(attrs: &[Attribute], errors: &mut Errors) -> Options {
    let mut options = Options { case: Case::Snake, ignore_data: false, krate: None };
    options::each(attrs, "label", errors, |meta, _| {
        if meta.path.is_ident("rename_all") {
            let name: LitStr = meta.value()?.parse()?;
            options.case = Case::parse(&name.value()).ok_or_else(|| {
                let names: Vec<&str> = Case::NAMES.iter().map(|(name, _)| *name).collect();
                syn::Error::new(name.span(), format!("unknown case: write one of `{}`", names.join("`, `")))
            })?;
        } else if meta.path.is_ident("ignore_data") {
            options.ignore_data = true;
        } else if meta.path.is_ident("crate") {
            options.krate = Some(meta.value()?.call(Path::parse_mod_style)?);
        } else {
            return Err(
                meta.error("unknown option: an enum takes `rename_all = \"..\"`, `ignore_data` and `crate = path`")
            );
        }
        Ok(())
    });
    options
}

/// Parses `#[label(rename = "..")]` on a variant and returns the new name.
fn rename(attrs: &[Attribute], errors: &mut Errors) -> Option<String> {
    let mut renamed = None;
    options::each(attrs, "label", errors, |meta, _| {
        if meta.path.is_ident("rename") {
            renamed = Some(meta.value()?.parse::<LitStr>()?.value());
            Ok(())
        } else if meta.path.is_ident("ignore_data") {
            Err(meta.error(
                "`ignore_data` is an option of the enum, not of a variant: write `#[label(ignore_data)]` on the enum",
            ))
        } else {
            Err(meta.error("unknown option: a variant takes `rename = \"..\"`"))
        }
    });
    renamed
}

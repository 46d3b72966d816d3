//! Parses the options in derive attributes. Each option is parsed independently, so that a mistake in one option does
//! not hide mistakes in others.

use proc_macro2::{Ident, TokenTree};
use syn::meta::ParseNestedMeta;
use syn::parse::ParseStream;
use syn::{Attribute, Error, Result, Token, parenthesized};

use crate::errors::Errors;

/// Calls `option` for each option of the attribute and reports duplicate options.
///
/// Returns the names of the options, or `None` if any option could not be parsed.
pub(crate) fn each(
    attrs: &[Attribute],
    attribute: &str,
    errors: &mut Errors,
    mut option: impl FnMut(&ParseNestedMeta<'_>, &mut Errors) -> Result<()>,
) -> Option<Vec<Ident>> {
    let (mut given, mut all_read) = (Vec::new(), true);
    for attr in attrs.iter().filter(|attr| attr.path().is_ident(attribute)) {
        let parsed = attr.parse_nested_meta(|meta| {
            if let Some(name) = meta.path.get_ident() {
                if given.contains(name) {
                    errors.at(name.span(), format_args!("option `{name}` is given twice: remove one of them"));
                }
                given.push(name.clone());
            }
            option(&meta, errors).or_else(|error| {
                errors.add(error);
                all_read = false;
                skip(meta.input)
            })
        });
        if let Err(error) = parsed {
            errors.add(error);
            all_read = false;
        }
    }
    all_read.then_some(given)
}

/// Parses the parenthesized list after an option's name.
pub(crate) fn list<T>(
    meta: &ParseNestedMeta<'_>,
    mut item: impl FnMut(ParseStream<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let list;
    parenthesized!(list in meta.input);
    let mut items = Vec::new();
    let mut mistakes: Option<Error> = None;
    while !list.is_empty() {
        let parsed = item(&list).and_then(|item| {
            items.push(item);
            if list.is_empty() || list.peek(Token![,]) { Ok(()) } else { Err(list.error("expected `,`")) }
        });
        if let Err(error) = parsed {
            skip(&list)?;
            match &mut mistakes {
                Some(mistakes) => mistakes.combine(error),
                None => mistakes = Some(error),
            }
        }
        list.parse::<Option<Token![,]>>()?;
    }
    mistakes.map_or(Ok(items), Err)
}

/// Skips all tokens up to the next comma.
fn skip(input: ParseStream<'_>) -> Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}

//! Inserts the attribute into source text without changing line numbers.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{ImplItemFn, ItemFn, Signature, TraitItemFn, Visibility};

const ATTRIBUTE: &str = "#[::metrics_core::instrument] ";

/// Adds the attribute to each function that supports it. Returns the new text and the number of annotated functions.
pub(crate) fn annotate(source: &str) -> syn::Result<(String, usize)> {
    let file = syn::parse_file(source)?;
    let mut functions = Functions::default();
    functions.visit_file(&file);
    functions.places.sort_unstable();
    let mut annotated = source.to_owned();
    // Span offsets do not count a leading byte order mark.
    let offset = if source.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    for place in functions.places.iter().rev() {
        annotated.insert_str(place + offset, ATTRIBUTE);
    }
    Ok((annotated, functions.places.len()))
}

/// The byte offsets at which functions begin, after their attributes.
#[derive(Default)]
struct Functions {
    places: Vec<usize>,
}

impl Functions {
    fn add(&mut self, visibility: Option<&Visibility>, sig: &Signature) {
        if sig.constness.is_some() {
            return;
        }
        let visibility = visibility.filter(|visibility| !matches!(visibility, Visibility::Inherited));
        let first = visibility.map_or_else(|| first_of(sig), Spanned::span);
        self.places.push(first.byte_range().start);
    }
}

fn first_of(sig: &Signature) -> Span {
    let asyncness = sig.asyncness.map(|keyword| keyword.span);
    let unsafety = sig.unsafety.map(|keyword| keyword.span);
    let abi = sig.abi.as_ref().map(|abi| abi.extern_token.span);
    asyncness.or(unsafety).or(abi).unwrap_or(sig.fn_token.span)
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.add(Some(&function.vis), &function.sig);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        if function.defaultness.is_none() {
            self.add(Some(&function.vis), &function.sig);
        }
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        if function.default.is_some() {
            self.add(None, &function.sig);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use super::annotate;

    #[test]
    fn functions_with_a_body_are_annotated_after_their_attributes() {
        let source = "/// é\n#[inline]\npub async fn a() { fn b() {} }\nconst fn c() {}\nextern \"C\" { fn d(); }\n\
                      trait T { fn e(); fn f() {} }\nimpl T for U { unsafe fn g() {} }\nmacro_rules! m { () => { fn h() {} } }\n";
        let (annotated, functions) = annotate(source).expect("the source parses");
        let mark = |function: &str| format!("{}{function}", super::ATTRIBUTE);
        assert_eq!(functions, 4);
        for function in ["pub async fn a", "fn b", "fn f", "unsafe fn g"] {
            assert!(annotated.contains(&mark(function)), "{function}: {annotated}");
        }
        assert_eq!(annotated.replace(super::ATTRIBUTE, ""), source);
    }
}

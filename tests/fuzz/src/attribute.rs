//! `#[instrument(..)]` on functions, `impl` blocks and other items: the macro never panics, its output parses, and a
//! function that is not instrumented is emitted unchanged, together with an error.

use syn::Item;

use crate::input::Source;
use crate::instrument;
use crate::tokens::{arguments, item, lex};

/// Expands the attribute for one input.
pub fn run(data: &[u8]) {
    let mut source = Source::new(data);
    let (args, item) = if source.one_in(8) {
        let text = String::from_utf8_lossy(source.rest()).into_owned();
        // The attribute's arguments and the item are separated as they are in source text.
        let (args, item) = text.split_once(")]").unwrap_or((&text, "fn f(path: &str) {}"));
        (args.trim_start_matches("#[instrument(").to_owned(), item.to_owned())
    } else {
        (arguments(&mut source), item(&mut source))
    };
    let (Some(args), Some(item)) = (lex(&args), lex(&item)) else { return };
    let given = syn::parse2::<syn::File>(item.clone());
    let expanded = instrument::expand(args.clone(), item.clone());
    let Ok(given) = given else { return };
    let text = expanded.to_string();
    let parsed = syn::parse2::<syn::File>(expanded);
    let parsed = parsed.unwrap_or_else(|error| panic!("{error}\n#[instrument({args})]\n{item}\nbecomes\n{text}"));
    let [Item::Fn(function)] = given.items.as_slice() else { return };
    let refused = text.contains("compile_error");
    let instrumented = text.contains("__METRICS_SITE");
    assert!(refused || instrumented, "#[instrument({args})]\n{item}\nis ignored:\n{text}");
    if refused && !instrumented {
        assert!(text.ends_with(&item.to_string()), "#[instrument({args})]\n{item}\nis not emitted unchanged:\n{text}");
    }
    let is_same = |item: &Item| matches!(item, Item::Fn(found) if found.sig.ident == function.sig.ident);
    assert!(parsed.items.iter().any(is_same), "#[instrument({args})]\n{item}\nloses the function:\n{text}");
}

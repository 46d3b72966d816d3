//! `#[instrument(..)]` on functions, `impl` blocks and other items: the macro never panics, its output parses, and a
//! function that is not instrumented is emitted unchanged, together with an error. An item that does not parse is
//! emitted unchanged.

use quote::ToTokens;
use syn::{Item, Path};

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
    let text = expanded.to_string();
    let is_unchanged = errors_before(&text, &item.to_string());
    let is_instrumented = is_unchanged.is_none() && text.contains("__METRICS_SITE");
    let Ok(given) = given else {
        // The body of a function is not parsed, and syntax errors are reported by the compiler. In a block, nested
        // attributes are removed.
        let is_block = item.to_string().contains("instrument");
        assert!(
            is_unchanged.is_some() || is_instrumented || is_block,
            "#[instrument({args})]\n{item}\ndoes not parse and becomes\n{text}"
        );
        return;
    };
    let parsed = syn::parse2::<syn::File>(expanded);
    let parsed = parsed.unwrap_or_else(|error| panic!("{error}\n#[instrument({args})]\n{item}\nbecomes\n{text}"));
    let [Item::Fn(function)] = given.items.as_slice() else { return };
    let is_refused = is_unchanged.is_some_and(|errors| errors > 0);
    assert!(is_refused || is_instrumented, "#[instrument({args})]\n{item}\nis ignored or changed:\n{text}");
    let is_same = |item: &Item| matches!(item, Item::Fn(found) if found.sig.ident == function.sig.ident);
    assert!(parsed.items.iter().any(is_same), "#[instrument({args})]\n{item}\nloses the function:\n{text}");
}

/// Returns the number of errors before the unchanged item, or `None` if the output is anything else.
fn errors_before(output: &str, item: &str) -> Option<usize> {
    let errors = syn::parse_str::<syn::File>(output.strip_suffix(item)?).ok()?;
    let is_error = |item: &Item| matches!(item, Item::Macro(call) if is_compile_error(&call.mac.path));
    errors.items.iter().all(is_error).then_some(errors.items.len())
}

fn is_compile_error(path: &Path) -> bool {
    path.to_token_stream().to_string() == ":: core :: compile_error"
}

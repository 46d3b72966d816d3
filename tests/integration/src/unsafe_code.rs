//! The unsafe code of the library: all of it is in the file that reads the linker's lists of declarations.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};

/// The files that contain the keyword `unsafe`, and the number of occurrences. `function.rs` only parses it.
const EXPECTED: [(&str, usize); 2] =
    [("metrics-core/src/registry/declared/section.rs", 8), ("metrics-macros/src/instrument/function.rs", 1)];

/// Counts the keyword in code, including macros, but not in comments, docs or strings.
fn count(tokens: TokenStream) -> usize {
    let count_tree = |tree| match tree {
        TokenTree::Group(group) => count(group.stream()),
        TokenTree::Ident(ident) => usize::from(ident == "unsafe"),
        TokenTree::Punct(_) | TokenTree::Literal(_) => 0,
    };
    tokens.into_iter().map(count_tree).sum()
}

fn count_in(folder: &Path, root: &Path, counts: &mut BTreeMap<String, usize>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            count_in(&path, root, counts);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let tokens = fs::read_to_string(&path).expect("UTF-8").parse().expect("Rust");
            let name = path.strip_prefix(root).expect("inside of the root").to_string_lossy().replace('\\', "/");
            counts.insert(name, count(tokens));
        }
    }
}

#[test]
fn only_the_linkers_list_needs_unsafe_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace");
    let mut counts = BTreeMap::new();
    for folder in ["metrics-core/src", "metrics-macros/src"] {
        count_in(&root.join(folder), &root, &mut counts);
    }
    assert!(counts.len() > 200, "{} files", counts.len());
    counts.retain(|_, count| *count > 0);
    assert_eq!(counts, EXPECTED.map(|(file, count)| (file.to_owned(), count)).into());
}

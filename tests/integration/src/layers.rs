//! The layers of `metrics-core`: a file may use what is below it, never what is above.

use std::fs;
use std::path::Path;

/// From the lowest to the highest; what stands in one row may use each other.
const LAYERS: [&[&str]; 8] = [
    &[
        "cell",
        "sample",
        "labels",
        "label_text",
        "label_value",
        "error",
        "kind",
        "lock",
        "alarm",
        "amount",
        "clock",
        "internal",
        "lint",
    ],
    &["metric", "counter", "gauge", "summary", "histogram", "threads", "timer"],
    &["cache", "family", "builder"],
    &["registry"],
    &["call", "encode", "declare", "process", "testing"],
    &["export"],
    &["integrate"],
    &["__private", "guide", "lib"],
];

fn layer(module: &str) -> usize {
    LAYERS.iter().position(|layer| layer.contains(&module)).unwrap_or_else(|| panic!("{module} has no layer"))
}

/// Files of `dir` with the top-level module each belongs to.
fn files(dir: &Path, module: Option<&str>, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("readable").path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("UTF-8").to_owned();
        let module = module.unwrap_or(&name);
        if path.is_dir() {
            files(&path, Some(module), found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((module.to_owned(), fs::read_to_string(&path).expect("readable")));
        }
    }
}

#[test]
fn no_file_uses_a_layer_above_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../metrics-core/src");
    let mut all = Vec::new();
    files(&source, None, &mut all);
    let mut uses = 0;
    for (module, text) in &all {
        for line in text.lines().map(str::trim_start).filter(|line| !line.starts_with("//")) {
            let used = line.split("crate::").skip(1).filter(|_| !line.contains("$crate"));
            for path in used {
                let names = match path.strip_prefix('{') {
                    Some(group) => group.split(',').collect(),
                    None => vec![path],
                };
                for name in names {
                    let used: String = name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    // Re-exports of the crate root name public types; the root itself is above all.
                    if used.starts_with(|c: char| c.is_uppercase()) || used == "__metrics_core_site" {
                        continue;
                    }
                    uses += 1;
                    assert!(layer(module) >= layer(&used), "{module} uses {used}, which is above it: {line}");
                }
            }
        }
    }
    assert!(uses > 100, "{uses} uses were read: are the files still there?");
}

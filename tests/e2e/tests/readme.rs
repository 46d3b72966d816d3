//! What the README shows is what is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::example::Example;
use crate::{get, pasted};

const README: &str = include_str!("../../../README.md");

/// The code blocks of this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let begin = format!("```{language}\n");
    README.split(begin.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn metrics_are_shown_as_they_are() {
    let mut router = Example::start("my_router", &["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]);
    let (service, metrics) = (router.addr(), router.addr());
    for path in ["/foo", "/bar", "/slow", "/fail", "/panic", "/nowhere"] {
        get(&format!("http://{service}{path}")).expect("an answer");
    }
    let (_, text) = get(&format!("http://{metrics}/metrics")).expect("an answer");
    let without_times = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.contains("my_router") && !line.starts_with("metrics_core"));
        lines
            .map(|line| match line.split_once("_sum{") {
                Some((name, rest)) => format!("{name}_sum{{{}", rest.split(' ').next().unwrap_or_default()),
                None => line.to_owned(),
            })
            .collect()
    };
    let [block] = blocks("text")[..] else { panic!("one block shows /metrics") };
    assert_eq!(without_times(&text), without_times(block));
}

/// The crates that a package of the workspace is built from, other than itself.
fn crates(package: &str) -> BTreeSet<String> {
    let args =
        ["tree", "--package", package, "--edges", "normal,build", "--prefix", "none", "--format", "{p}", "--no-dedupe"];
    let output = Command::new(env!("CARGO")).args(args).output().expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().skip(1).filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_first_command_builds_little_more_than_the_library() {
    let (library, router) = (crates("metrics-core"), crates("my_router"));
    let more: Vec<&String> = router.difference(&library).filter(|name| *name != "metrics-core").collect();
    // Today four: `lexopt`, `http-body-util`, and two for Ctrl-C.
    assert!(more.len() <= 6, "{more:?}");
}

/// What `cargo expand` does: the compiler expands the crate, and `prettyplease` formats one function of it.
#[test]
#[cfg(target_os = "linux")]
fn the_expansion_is_what_cargo_expand_prints() {
    let expanded = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut expand = Command::new(env!("CARGO"));
    expand.args(["rustc", "--profile", "check", "--package", "my_router", "--", "-Zunpretty=expanded", "-o"]);
    expand.arg(expanded.path()).env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", pasted::target("expanded"));
    let output = expand.output().expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(expanded.path()).expect("UTF-8");
    let mut file = syn::parse_file(&text).expect("Rust");
    file.attrs.clear();
    file.items.retain(|item| matches!(item, syn::Item::Fn(function) if function.sig.ident == "route_request"));
    assert_eq!(blocks("rust,ignore"), [prettyplease::unparse(&file)]);
}

#[test]
fn commands_and_files_are_there() {
    let commands: Vec<&str> = blocks("sh").into_iter().map(str::trim).collect();
    assert_eq!(
        commands,
        [
            // Started so, with other addresses, in `router.rs`.
            "cargo run --release --package my_router -- --traffic",
            "cargo expand --package my_router route_request",
            "./tests/run",
            "cargo run --release --manifest-path tests/compare/Cargo.toml",
        ]
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let links = README.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for file in links.chain(["tests/run"]) {
        assert!(root.join(file).exists(), "{file} is not there");
    }
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).expect("readable");
    let rust = manifest.split("rust-version = \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a version");
    assert!(README.contains(&format!("Rust {rust} or newer")), "the README names another version than {rust}");
}

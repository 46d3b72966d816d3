//! Checks that the README is accurate.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::example::Example;
use crate::{get, pasted, wait_for};

const README: &str = include_str!("../../../README.md");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns the code blocks in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let begin = format!("```{language}\n");
    README.split(begin.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_quick_start_works_as_pasted() {
    let [dependencies] = blocks("toml")[..] else { panic!("one block names the dependencies") };
    let [program] = blocks("rust,no_run")[..] else { panic!("one program") };
    let [expected] = blocks("text")[..] else { panic!("one block shows /metrics") };
    let program = pasted::build("hello", dependencies, program);
    let mut hello = Example::start_file(&program, &[]);
    assert_eq!(
        [0; 3].map(|_| hello.line()),
        ["Ok(\"Hello, Ada!\")\n", "Ok(\"Hello, Grace!\")\n", "Err(\"no name\")\n"]
    );
    // The program uses the documented port, so no other process may use that port.
    let text = wait_for("an answer", || Some(get("http://127.0.0.1:9464/metrics").ok()?.1));
    let without_times = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.contains("hello_") && !line.starts_with("metrics_core_"));
        lines
            .map(|line| match line.split_once("_sum{") {
                Some((name, rest)) => format!("{name}_sum{{{}", rest.split(' ').next().unwrap_or_default()),
                None => line.to_owned(),
            })
            .collect()
    };
    assert_eq!(without_times(&text), without_times(expected));
}

/// Returns these workspace members and all the crates they depend on.
fn crates(members: &[&str]) -> BTreeSet<String> {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--edges", "normal,build", "--prefix", "none", "--format", "{p}", "--no-dedupe"]).args(members);
    let output = tree.current_dir(root()).output().expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn the_first_command_builds_little_more_than_the_library() {
    let (library, router) = (crates(&["--package", "metrics-core"]), crates(&["--package", "my_router"]));
    let more: Vec<&String> = router.difference(&library).collect();
    // The limit includes the example itself, `lexopt`, `http-body-util`, and two crates for Ctrl-C.
    assert!(more.len() <= 7, "{more:?}");
    // Commands without `--package` do not build a web framework.
    let default = crates(&[]);
    assert!(default.contains("basics") && default.contains("my_router"), "{default:?}");
    for framework in ["actix-web", "axum", "tonic"] {
        assert!(!default.contains(framework), "{framework}");
    }
}

#[test]
fn each_example_begins_with_its_command() {
    for (folder, package, examples) in [("examples", " --package metrics-examples", 7), ("examples/basics", "", 6)] {
        let files = fs::read_dir(root().join(folder)).expect("examples").map(|entry| entry.expect("an entry").path());
        let sources: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|kind| kind == "rs")).collect();
        assert_eq!(sources.len(), examples);
        for path in sources {
            let name = path.file_stem().expect("a name").display();
            let command = format!("//! `cargo run --release{package} --example {name}");
            let text = fs::read_to_string(&path).expect("UTF-8");
            assert!(text.lines().any(|line| line.starts_with(&command)), "{name}: {command}");
        }
    }
}

/// Works like `cargo expand`: the compiler expands the crate, and `prettyplease` formats one of its functions.
#[test]
#[cfg(target_os = "linux")]
fn the_expansion_is_what_cargo_expand_prints() {
    let expanded = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut expand = Command::new(env!("CARGO"));
    expand.args(["rustc", "--profile", "check", "--package", "my_router", "--", "-Zunpretty=expanded", "-o"]);
    expand.arg(expanded.path()).env("RUSTC_WORKSPACE_WRAPPER", root().join("tests/e2e/rustc"));
    let output = expand.output().expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(expanded.path()).expect("UTF-8");
    let mut file = syn::parse_file(&text).expect("Rust");
    file.attrs.clear();
    file.items.retain(|item| matches!(item, syn::Item::Fn(function) if function.sig.ident == "route_request"));
    let guide = include_str!("../../../metrics-core/src/guide/expansion.md");
    let (_, shown) = guide.split_once("# The output of `cargo expand`").expect("a section");
    let shown = shown.split("```rust,ignore\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(shown, Some(prettyplease::unparse(&file).as_str()));
}

/// Messages that the troubleshooting guide quotes, and the files that contain them.
const QUOTED: [(&str, &str); 15] = [
    ("nothing has exposed the metrics of this program for ten minutes", "exposure.rs"),
    ("the list after `in` is not available; values of closed sets are recorded as `other`", "internal.rs"),
    ("a collector timed out; its families are skipped", "internal.rs"),
    ("registered with ", "error.rs"),
    (
        "latencies are recorded with the registered options; use the same options everywhere, or set another `prefix`",
        "registry/latency.rs",
    ),
    ("set another `prefix`, or name a family with `", "call/feed/default_family.rs"),
    ("cannot serve metrics on", "export/server/error.rs"),
    ("Not found; metrics are served at /metrics.", "export/server/serve.rs"),
    ("Invalid credentials.", "export/server/serve.rs"),
    ("a TLS handshake failed", "export/server/serve.rs"),
    ("a connection failed", "export/server/serve.rs"),
    ("the metrics server was shut down while scrapes were in flight", "export/server/serve.rs"),
    ("Too many connections.", "export/server/serve.rs"),
    ("Too many concurrent scrapes.", "export/http/exposition.rs"),
    ("the metrics server runs in another process and was not shut down", "export/server.rs"),
];

#[test]
fn the_troubleshooting_guide_quotes_the_messages_of_the_library() {
    let sources = root().join("metrics-core/src");
    let read = |file: &str| fs::read_to_string(sources.join(file)).expect("UTF-8");
    let guide = read("guide/troubleshooting.md");
    for (message, file) in QUOTED {
        assert!(read(file).contains(message), "{file} does not contain {message}");
        assert!(guide.contains(message), "the guide does not quote {message}");
    }
}

/// Code blocks must not use rustdoc's hidden lines, because other Markdown viewers show them.
#[test]
fn no_line_is_hidden() {
    let guides = root().join("metrics-core/src/guide");
    let mut pages = vec![("README.md".to_owned(), README.to_owned())];
    for page in fs::read_dir(guides).expect("guides") {
        let path = page.expect("an entry").path();
        pages.push((path.display().to_string(), fs::read_to_string(&path).expect("UTF-8")));
    }
    assert!(pages.len() > 8);
    for (page, text) in pages {
        for block in text.split("```").skip(1).step_by(2) {
            let (language, code) = block.split_once('\n').expect("a block");
            let is_rust = language.is_empty() || language == "no_run" || language.starts_with("rust");
            let hidden = code.lines().find(|line| *line == "#" || line.trim_start().starts_with("# "));
            assert!(!is_rust || hidden.is_none(), "{page}: {}", hidden.unwrap_or_default());
        }
    }
}

#[test]
fn commands_and_files_are_there() {
    let lines = blocks("sh").into_iter().flat_map(str::lines);
    let commands: Vec<&str> =
        lines.map(|line| line.split_once('#').map_or(line, |(command, _)| command).trim()).collect();
    assert_eq!(
        commands,
        [
            // The tests in `router.rs` run this command with different addresses.
            "cargo run --release --package my_router -- --traffic",
            "./tests/run",
        ]
    );
    let root = root();
    let links = README.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for file in links.chain(["tests/run"]) {
        assert!(root.join(file).exists(), "{file} does not exist");
    }
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).expect("readable");
    let rust = manifest.split("rust-version = \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a version");
    assert!(README.contains(&format!("Rust {rust} or newer")), "the README names another version than {rust}");
}

//! Compares the public API with a checked-in list, and checks that both crates can be packaged.
//!
//! The list is in `public-api.txt`. To accept a change to the API, run `UPDATE_EXPECT=1 cargo test --package api-tests`
//! and add a line to the changelog. If the change removes or modifies an item, the line must state the reason.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use expect_test::expect_file;

/// The compiler version whose rustdoc JSON the `public-api` crate can read.
const PINNED: &str = "rustc 1.95.";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("..")
}

fn output_of(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Compares the public items of `metrics-core`, with all features enabled, to the list. The items in `__private`, which
/// macro-generated code uses, are not part of the API.
#[test]
fn the_public_api_is_the_checked_in_list() {
    let version = output_of(Command::new("rustc").arg("--version"));
    if !version.starts_with(PINNED) {
        println!("the list was made with {PINNED}x, so this compiler's is not compared: {version}");
        return;
    }
    let mut rustdoc = Command::new(env!("CARGO"));
    rustdoc.args(["rustdoc", "--package", "metrics-core", "--lib", "--all-features", "--"]);
    rustdoc.args(["-Zunstable-options", "--output-format", "json"]);
    rustdoc.current_dir(root()).env("RUSTDOC", root().join("tests/api/rustdoc"));
    output_of(&mut rustdoc);
    let api = public_api::Builder::from_rustdoc_json(target().join("doc/metrics_core.json"))
        .omit_blanket_impls(true)
        .build()
        .expect("the format of this compiler");
    let items: Vec<String> = api.items().map(ToString::to_string).filter(|item| !item.contains("__private")).collect();
    assert!(items.len() > 300, "{} items", items.len());
    expect_file!["public-api.txt"].assert_eq(&(items.join("\n") + "\n"));
}

/// Packages both crates with one command, so that cargo finds `metrics-macros` in its local overlay. On crates.io,
/// these names belong to other crates.
#[test]
fn both_crates_can_be_packaged_together() {
    let copy = tempfile::tempdir().expect("a temporary directory");
    let mut find = Command::new("find");
    find.args([".", "(", "-name", "target", "-o", "-name", ".git", ")", "-prune", "-o"]);
    find.args(["(", "-type", "f", "-o", "-type", "l", ")", "-print0"]);
    let files = output_of(find.current_dir(root()));
    for file in files.split('\0').filter(|file| root().join(file).is_file()) {
        let to = copy.path().join(file);
        fs::create_dir_all(to.parent().expect("a directory")).expect("created");
        // `publish = false` remains until the crate names are settled. Nothing else may prevent publication.
        if Path::new(file).file_name() == Some(OsStr::new("Cargo.toml")) {
            let manifest = fs::read_to_string(root().join(file)).expect("UTF-8");
            let lifted = manifest.replace("publish = false\n", "").replace("publish.workspace = true\n", "");
            fs::write(to, lifted).expect("written");
        } else {
            fs::copy(root().join(file), to).expect("copied");
        }
    }
    let mut package = Command::new(env!("CARGO"));
    package.args(["package", "--package", "metrics-core", "--package", "metrics-macros"]);
    package.current_dir(copy.path()).env("CARGO_TARGET_DIR", target());
    output_of(&mut package);

    let packages = target().join("package");
    for name in ["metrics-core", "metrics-macros"] {
        let file = packages.join(format!("{name}-0.1.0.crate"));
        let list = output_of(Command::new("tar").arg("tzf").arg(&file));
        let files: Vec<&str> = list.lines().filter_map(|file| Some(file.split_once('/')?.1)).collect();
        for expected in ["README.md", "LICENSE-APACHE", "LICENSE-MIT", "src/lib.rs"] {
            assert!(files.contains(&expected), "{name} has no {expected}: {files:?}");
        }
        let known = |file: &&str| {
            file.starts_with("src/")
                || ["Cargo.", "LICENSE-", "README.md", ".cargo"].iter().any(|name| file.starts_with(name))
        };
        let other: Vec<_> = files.iter().filter(|file| !known(file)).collect();
        assert!(other.is_empty(), "{name} contains {other:?}");
        assert!(!files.iter().any(|file| file.contains("/snapshots/")), "{name} contains test data: {files:?}");
    }
    let mut lock = Command::new("tar");
    lock.arg("xzOf").arg(packages.join("metrics-core-0.1.0.crate")).arg("metrics-core-0.1.0/Cargo.lock");
    let lock = output_of(&mut lock);
    let entries = lock.split("[[package]]");
    let macros: Vec<&str> = entries.filter(|package| package.contains("name = \"metrics-macros\"\n")).collect();
    let sum = output_of(Command::new("sha256sum").arg(packages.join("metrics-macros-0.1.0.crate")));
    let sum = sum.split(' ').next().expect("a checksum");
    assert!(macros.len() == 1 && macros[0].contains(sum), "the lock file has a foreign metrics-macros: {macros:?}");
}

//! Compiles every file under `ui/`. Each one must fail with the messages in its `.stderr` file. The programs in `pass/`
//! must compile, and are separate tests: among files that fail, they would make `trybuild` check the files one by one
//! instead of all at once.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The compiler version that produced the messages in the `.stderr` files. Other versions' messages may differ.
const PINNED: &str = "rustc 1.95.";

#[test]
fn ui() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let version = String::from_utf8_lossy(&version).into_owned();
    if version.starts_with(PINNED) {
        trybuild::TestCases::new().compile_fail("ui/*.rs");
    } else {
        eprintln!("the compiler messages were not compared, because they require {PINNED}x and this is {version}");
    }
}

#[test]
fn every_program_that_must_compile_is_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("UTF-8");
    for file in fs::read_dir(root.join("pass")).expect("a directory") {
        let path = format!("path = \"pass/{}\"", file.expect("a file").file_name().display());
        assert!(manifest.contains(&path), "tests/ui/Cargo.toml does not contain {path}");
    }
}

//! Compiles every file under `ui/`. Files in `pass/` must compile; all other files must fail with the messages in their
//! `.stderr` files.

use std::process::Command;

/// The compiler version that produced the messages in the `.stderr` files. Other versions' messages may differ.
const PINNED: &str = "rustc 1.95.";

#[test]
fn ui() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let version = String::from_utf8_lossy(&version).into_owned();
    let cases = trybuild::TestCases::new();
    cases.pass("ui/pass/*.rs");
    if version.starts_with(PINNED) {
        cases.compile_fail("ui/*.rs");
    } else {
        eprintln!("the compiler messages were not compared, because they require {PINNED}x and this is {version}");
    }
}

//! Runs every file under `ui/`: what must not compile says what its `.stderr` says, what must compile does.

use std::process::Command;

/// The compiler whose messages the `.stderr` files hold; others word and place them differently.
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
        eprintln!("the messages were not compared: they are those of {PINNED}x, this is {version}");
    }
}

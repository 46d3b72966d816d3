//! Checks that the attribute does not change the compiler's diagnostics: the same lints fire at the same positions, and
//! the same error codes are reported on the same lines.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Returns the compiler's diagnostics for this target: the lint or error code, the line and the column.
fn said(target: &[&str], instrumented: bool) -> BTreeSet<(String, u64, u64)> {
    said_by("check", target, instrumented)
}

fn said_by(tool: &str, target: &[&str], instrumented: bool) -> BTreeSet<(String, u64, u64)> {
    let twins = Path::new(env!("CARGO_MANIFEST_DIR")).join("twins");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([tool, "--quiet", "--message-format=json"]).args(target);
    cargo.arg("--target-dir").arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("..")).current_dir(&twins);
    if instrumented {
        cargo.args(["--features", "instrumented"]);
    }
    if tool == "clippy" {
        cargo.args(["--", "-Wclippy::pedantic", "-Wclippy::nursery", "-Wmissing_docs"]);
    }
    let output = cargo.output().expect("cargo runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let messages = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let said: BTreeSet<_> = messages
        .filter(|message| message["target"]["name"] == name(target))
        .filter_map(|message| place(&message))
        .collect();
    assert!(!said.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn name<'t>(target: &[&'t str]) -> &'t str {
    target.get(1).copied().unwrap_or("twins")
}

fn place(message: &Value) -> Option<(String, u64, u64)> {
    let message = &message["message"];
    let span = message["spans"].as_array()?.iter().find(|span| span["is_primary"] == true)?;
    let code = message["code"]["code"].as_str().unwrap_or("none");
    Some((code.to_owned(), span["line_start"].as_u64()?, span["column_start"].as_u64()?))
}

/// Lints that are known to differ because the body becomes a closure. The compiler does not detect unconditional
/// recursion in closures, and it considers assignments to fields of captured variables unused.
const KNOWN: [&str; 2] = ["unconditional_recursion", "unused_assignments"];

/// Clippy lints that are known to be lost. The first two check the function's use of arguments and statics, but ignore
/// closures. The others do not apply: an annotated function cannot be `const`, and an annotated `async fn` awaits its
/// body.
const LOST: [&str; 4] = [
    "clippy::must_use_candidate",
    "clippy::needless_pass_by_value",
    "clippy::missing_const_for_fn",
    "clippy::unused_async",
];

#[test]
fn lints_fire_where_they_do_without_the_attribute_and_only_there() {
    let (plain, instrumented) = (said(&["--lib"], false), said(&["--lib"], true));
    let differ = |(lint, ..): &&(String, u64, u64)| !KNOWN.contains(&lint.as_str());
    let lost: Vec<_> = plain.difference(&instrumented).filter(differ).collect();
    let added: Vec<_> = instrumented.difference(&plain).filter(differ).collect();
    assert!(lost.is_empty() && added.is_empty(), "lost: {lost:?}\nadded: {added:?}");
    // Fails if a lint in `KNOWN` no longer differs.
    assert_eq!(plain.symmetric_difference(&instrumented).count(), KNOWN.len());
    assert!(plain.len() > 40, "only {} warnings", plain.len());
}

#[test]
fn clippy_finds_the_same_with_the_attribute() {
    let plain = said_by("clippy", &["--lib"], false);
    let instrumented = said_by("clippy", &["--lib"], true);
    let added: Vec<_> = instrumented.difference(&plain).filter(|(lint, ..)| !KNOWN.contains(&lint.as_str())).collect();
    let may_be_lost = |lint: &str| LOST.contains(&lint) || KNOWN.contains(&lint);
    let lost: Vec<_> = plain.difference(&instrumented).filter(|(lint, ..)| !may_be_lost(lint)).collect();
    assert!(lost.is_empty() && added.is_empty(), "lost: {lost:?}\nadded: {added:?}");
    // Fails if a lint in `LOST` is no longer lost.
    for known in LOST {
        assert!(plain.difference(&instrumented).any(|(lint, ..)| lint == known), "{known} is not lost");
    }
    assert!(plain.len() > 100, "only {} warnings", plain.len());
}

#[test]
fn errors_are_on_the_same_lines_as_in_the_plain_function() {
    let without_column = |said: BTreeSet<(String, u64, u64)>| -> BTreeSet<(String, u64)> {
        said.into_iter().map(|(code, line, _)| (code, line)).collect()
    };
    let plain = without_column(said(&["--bin", "errors"], false));
    let instrumented = without_column(said(&["--bin", "errors"], true));
    assert_eq!(instrumented, plain);
    assert!(plain.len() > 12, "only {} errors", plain.len());
}

//! Checks compiler messages that require a package of their own: one that lacks a feature of the library, that uses the
//! library only through a re-export, or that only `cargo build` rejects.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Returns the compiler errors for this binary, as printed.
fn errors(package: &str, bin: &str) -> Vec<String> {
    messages("check", package, bin)
        .iter()
        .filter(|message| {
            message["level"] == "error" && message["spans"].as_array().is_some_and(|spans| !spans.is_empty())
        })
        .map(|message| message["rendered"].as_str().expect("text").to_owned())
        .collect()
}

/// Returns the compiler's messages for this binary when `cargo check` or `cargo build` is run.
fn messages(tool: &str, package: &str, bin: &str) -> Vec<Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(package);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([tool, "--quiet", "--message-format=json", "--bin", bin]).current_dir(&directory);
    cargo.arg("--target-dir").arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join(".."));
    let output = cargo.output().expect("cargo runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let messages: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(
        messages.iter().any(|message| message["target"]["name"] == bin),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    messages.into_iter().map(|mut message| message["message"].take()).collect()
}

/// Items that are unavailable without features, each with the feature that enables the item.
const GATED: [(&str, &str); 11] = [
    ("Snapshot", "testing"),
    ("Exposition", "exposition"),
    ("GraphiteBridge", "push"),
    ("HttpServer", "http"),
    ("Pusher", "push"),
    ("RequestMetrics", "tower"),
    ("Tls", "tls"),
    ("start_http_server", "http"),
    ("Metrics", "macros"),
    ("instrument", "macros"),
    ("LabelValue", "macros"),
];

#[test]
fn the_import_of_an_item_without_its_feature_names_the_feature() {
    let errors = errors("without-features", "imports");
    let text = errors.concat();
    // Without features, `LabelValue` resolves to the trait, and the import of `Snapshot` fails at the module `testing`.
    for (item, feature) in GATED.iter().filter(|(item, _)| !matches!(*item, "LabelValue" | "Snapshot")) {
        assert!(text.contains(&format!("no `{item}` in the root")), "{item}: {text}");
        assert!(text.contains(&format!("feature = \"{feature}\"")), "{item}: {text}");
    }
    assert!(text.contains("gated behind the `testing` feature"), "{text}");
    assert!(!text.contains("no `process_metrics`"), "`process_metrics!` reports its missing feature itself: {text}");
}

#[test]
fn the_use_of_an_item_without_its_feature_names_the_feature() {
    let errors = errors("without-features", "paths");
    let needs_process = errors.iter().filter(|error| error.contains("`process_metrics!` needs the feature `process`"));
    assert_eq!(needs_process.count(), 2, "{errors:?}");
    let used = ["GraphiteBridge", "RequestMetrics", "start_http_server", "Metrics", "instrument", "LabelValue"];
    for (item, feature) in GATED.iter().filter(|(item, _)| used.contains(item)) {
        let is_gated = |error: &&String| {
            error.contains(&format!("`{item}` in")) && error.contains(&format!("feature = \"{feature}\""))
        };
        assert_eq!(errors.iter().filter(is_gated).count(), 1, "{item}: {errors:?}");
    }
    assert_eq!(errors.len(), 2 + used.len(), "{errors:?}");
}

#[test]
fn a_re_export_needs_the_option_crate() {
    let missing = errors("facade-user", "missing");
    for attribute in ["instrument", "label", "metrics"] {
        let said = format!(
            "`metrics-core` is not a dependency of this crate: add it to Cargo.toml, or write `#[{attribute}(crate = path)]`"
        );
        assert_eq!(missing.iter().filter(|error| error.contains(&said)).count(), 1, "{missing:?}");
    }
    assert_eq!(missing.len(), 3, "{missing:?}");
    assert_eq!(errors("facade-user", "given"), [""; 0]);
}

/// Constants are evaluated after all checks, so `cargo check` accepts this program.
#[test]
fn the_states_of_a_state_set_must_be_a_closed_set() {
    let messages = messages("build", "without-features", "state_set_of_strings");
    assert!(messages.iter().any(|message| message["level"] == "error"), "{messages:?}");
    let text: String = messages.iter().filter_map(|message| message["rendered"].as_str()).collect();
    for expected in [
        "the states of a `StateSet` must be a closed set: write an enum that derives `LabelValue`",
        " --> src/bin/state_set_of_strings.rs:6:5",
    ] {
        assert!(text.contains(expected), "{text}");
    }
}

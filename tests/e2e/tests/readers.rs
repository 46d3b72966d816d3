//! Others who read our exposition: promtool, and the parser of the Python client.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Checks that promtool finds nothing to say of this text.
pub(crate) fn promtool_is_content(text: &str) {
    let (success, said) = fed(Command::new("promtool").args(["check", "metrics"]), text);
    assert!(success && said.is_empty(), "promtool says:\n{said}\nof:\n{text}");
}

/// The samples that the Python client's parser reads: name, labels in order, value; one a line.
pub(crate) fn python_samples(text: &str) -> Vec<String> {
    const SCRIPT: &str = "
import sys
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        print(sample.name, sorted(sample.labels.items()), float(sample.value))
";
    let python = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/test-python/bin/python");
    let (success, said) = fed(Command::new(python).args(["-c", SCRIPT]), text);
    assert!(success, "the parser says:\n{said}\nof:\n{text}");
    said.lines().map(str::to_owned).collect()
}

fn fed(command: &mut Command, text: &str) -> (bool, String) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}: run ./tests/run, which installs it"));
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).expect("UTF-8"))
}

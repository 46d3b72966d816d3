//! Third-party readers of our exposition: promtool and the parser of the Python client.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Asserts that promtool has no complaints about this text.
pub(crate) fn promtool_is_content(text: &str) {
    let said = promtool_says(text);
    assert!(said.is_empty(), "promtool says:\n{said}\nof:\n{text}");
}

/// Returns promtool's complaints about this text, or an empty string if there are none.
pub(crate) fn promtool_says(text: &str) -> String {
    let (success, said) = fed(Command::new("promtool").args(["check", "metrics"]), text);
    assert!(!success || said.is_empty(), "promtool succeeds and says {said}");
    assert!(success || !said.is_empty(), "promtool fails and says nothing");
    said
}

/// Feeds this input to a script that uses the Python client, and returns the script's output.
pub(crate) fn python(script: &str, input: &str) -> String {
    let python = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/test-python/bin/python");
    let (success, said) = fed(Command::new(python).args(["-c", script]), input);
    assert!(success, "Python says:\n{said}\nof:\n{input}");
    said
}

/// Returns the samples that the Python client parses, each as a string: name, sorted labels, value.
pub(crate) fn python_samples(text: &str) -> Vec<String> {
    const SCRIPT: &str = "
import sys
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        print(sample.name, sorted(sample.labels.items()), float(sample.value))
";
    python(SCRIPT, text).lines().map(str::to_owned).collect()
}

fn fed(command: &mut Command, text: &str) -> (bool, String) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}: run ./tests/run to install it"));
    let mut input = child.stdin.take().expect("piped");
    let output = std::thread::scope(|scope| {
        // Write concurrently because the program may produce output before it has read all of its input.
        scope.spawn(move || input.write_all(text.as_bytes()).expect("it reads"));
        child.wait_with_output().expect("it ends")
    });
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).expect("UTF-8"))
}

//! Parsers in Python, each in a process that reads one document after another.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A process that parses documents, and prints each sample as a line.
pub(crate) struct Reader {
    _child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Reader {
    /// Starts the parsers of the Python client, which `tests/run` installs.
    pub(crate) fn expositions() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self::start(&root.join("../../target/test-python/bin/python"), &root.join("readers/expositions.py"))
    }

    /// Starts the parser of carbon, which is a package of the operating system.
    pub(crate) fn carbon() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self::start(Path::new("/usr/bin/python3"), &root.join("readers/graphite.py"))
    }

    fn start(python: &Path, script: &Path) -> Self {
        let child = Command::new(python).arg("-B").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child =
            child.unwrap_or_else(|error| panic!("{}: {error}: run ./tests/run to install it", python.display()));
        let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        Self { _child: child, input, output: BufReader::new(output) }
    }

    /// Returns a line for each sample in a document.
    pub(crate) fn read(&mut self, format: &str, document: &[u8]) -> Vec<String> {
        let frame = [format!("{format} {}\n", document.len()).as_bytes(), document].concat();
        self.input.write_all(&frame).and_then(|()| self.input.flush()).expect("the parser runs");
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            self.output.read_line(&mut line).expect("the parser runs");
            match line.trim_end_matches('\n') {
                "end" => return lines,
                error if error.starts_with("error ") || error.is_empty() => {
                    panic!("{error} in {format}:\n{}", String::from_utf8_lossy(document));
                }
                line => lines.push(line.to_owned()),
            }
        }
    }
}

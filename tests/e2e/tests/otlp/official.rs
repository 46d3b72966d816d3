//! A receiver of OTLP that uses the official types.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A receiver in Python, whose port is free when it is started for the first time.
pub(super) struct Official {
    child: Child,
    output: BufReader<ChildStdout>,
    pub(super) url: String,
}

impl Official {
    pub(super) fn start() -> Self {
        let (child, output) = Self::spawn("0");
        let mut this = Self { child, output, url: String::new() };
        this.url = this.line().expect("its URL");
        this
    }

    fn spawn(port: &str) -> (Child, BufReader<ChildStdout>) {
        let mut child = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/test-python/bin/python"))
            .args([concat!(env!("CARGO_MANIFEST_DIR"), "/tests/otlp/receiver.py"), port])
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python is there: run ./tests/run");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        (child, output)
    }

    fn line(&mut self) -> Option<String> {
        self.output.by_ref().lines().next().map(|line| line.expect("UTF-8"))
    }

    /// Returns the next request.
    pub(super) fn next(&mut self) -> Value {
        serde_json::from_str(&self.line().expect("a request")).expect("JSON")
    }

    /// Stops the receiver after the current request, and returns the requests that have not been read.
    pub(super) fn stop(&mut self) -> Vec<Value> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
        let lines: Vec<String> = std::iter::from_fn(|| self.line()).collect();
        self.child.wait().expect("it ends");
        lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Starts the receiver again after [`Official::stop`], with the same URL.
    pub(super) fn start_again(&mut self) {
        let port = self.url.rsplit(':').next().expect("a port").to_owned();
        (self.child, self.output) = Self::spawn(&port);
        assert_eq!(self.line(), Some(self.url.clone()));
    }
}

impl Drop for Official {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

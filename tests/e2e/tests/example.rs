//! Builds and starts an example as users do, and kills the example when the test ends.

use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Once;

use crate::pasted;

/// A running example.
pub(crate) struct Example {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Example {
    pub(crate) fn start(name: &str, args: &[&str]) -> Self {
        Self::start_file(&built(name), args)
    }

    /// Starts an example and redirects its standard error to `log`.
    pub(crate) fn start_logged(name: &str, args: &[&str], log: File) -> Self {
        Self::spawn(&built(name), args, log.into())
    }

    /// Starts a program that is not one of the workspace's examples.
    pub(crate) fn start_file(file: &Path, args: &[&str]) -> Self {
        // Discard standard error, because one of the router's handlers panics on each request.
        Self::spawn(file, args, Stdio::null())
    }

    fn spawn(file: &Path, args: &[&str], stderr: Stdio) -> Self {
        let mut command = Command::new(file);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, output }
    }

    /// Reads the next line of output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("UTF-8");
        line
    }

    /// Reads the next line of output and returns the first address in it.
    pub(crate) fn addr(&mut self) -> String {
        let line = self.line();
        let addr = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        addr.unwrap_or_else(|| panic!("no address in {line:?}")).to_owned()
    }

    /// Writes a line to standard input.
    pub(crate) fn write(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().expect("piped");
        writeln!(input, "{line}").expect("it reads");
    }

    /// Sends SIGINT, like Ctrl-C, and returns the exit status.
    pub(crate) fn interrupt(self) -> ExitStatus {
        self.signal("-INT")
    }

    /// Sends SIGTERM, like a service manager, and returns the exit status.
    pub(crate) fn terminate(self) -> ExitStatus {
        self.signal("-TERM")
    }

    fn signal(mut self, signal: &str) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill").success());
        self.child.wait().expect("it ends")
    }

    /// Closes standard input and returns the exit status and the remaining output.
    pub(crate) fn finish(mut self) -> (ExitStatus, String) {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("UTF-8");
        (self.child.wait().expect("it ends"), rest)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // Kill the program if it is still running when the test ends.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs an example to completion and returns its status, standard output and standard error.
pub(crate) fn run(name: &str, args: &[&str]) -> (ExitStatus, String, String) {
    run_with(name, args, "")
}

/// Like [`run`], with this text as standard input.
pub(crate) fn run_with(name: &str, args: &[&str], input: &str) -> (ExitStatus, String, String) {
    let mut command = Command::new(built(name));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    // A program that ends early does not read all of its input.
    child.stdin.take().expect("piped").write_all(input.as_bytes()).ok();
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status, text(output.stdout), text(output.stderr))
}

fn built(name: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    BUILT.call_once(|| {
        let mut build = Command::new(env!("CARGO"));
        // Select all packages, as `tests/run` does. Dependencies then have the same features and are not rebuilt.
        build.args(["build", "--workspace", "--profile", "checked", "--examples", "--bin", "my_router"]);
        build.current_dir(&root);
        // Cargo describes the running test in these variables. The build script of `ring` depends on them, so that
        // crate and all that use it would be compiled again.
        let of_test = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        for (name, _) in env::vars().filter(|(name, _)| of_test(name)) {
            build.env_remove(name);
        }
        assert!(build.status().expect("cargo").success());
    });
    pasted::target().join(if name == "my_router" { "checked" } else { "checked/examples" }).join(name)
}

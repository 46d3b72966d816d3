//! Runs cargo on a copy of a crate, and parses diagnostics and test results.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::source::json;

/// A copy of a crate.
pub(crate) struct Package {
    folder: PathBuf,
    target: PathBuf,
    features: &'static [&'static str],
}

impl Package {
    pub(crate) fn new(folder: PathBuf, target: PathBuf, features: &'static [&'static str]) -> Self {
        Self { folder, target, features }
    }

    /// Returns the compiler errors.
    pub(crate) fn check(&self) -> Result<Vec<String>> {
        let output = self.run(&["check", "--lib", "--message-format=json"], &[])?;
        let errors: Vec<String> = self
            .messages(&output)
            .filter(|message| message["level"] == "error")
            .filter_map(|message| message["rendered"].as_str().map(str::to_owned))
            .collect();
        let said = !errors.is_empty() || output.status.success();
        ensure!(said, "{}", String::from_utf8_lossy(&output.stderr));
        Ok(errors)
    }

    /// Returns the compiler and clippy lints, each with its name, file and line.
    pub(crate) fn lints(&self, pedantic: bool) -> Result<BTreeSet<String>> {
        let groups: &[&str] = if pedantic { &["-Wclippy::pedantic"] } else { &[] };
        let output = self.run(&["clippy", "--lib", "--message-format=json"], groups)?;
        ensure!(output.status.success(), "clippy failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(self.messages(&output).filter_map(|message| place(&message)).collect())
    }

    /// Returns the tests in the package with their outcomes, or `None` if the tests do not build.
    pub(crate) fn tests(&self) -> Result<Option<BTreeSet<String>>> {
        if !self.run(&["test", "--lib", "--tests", "--no-run"], &[])?.status.success() {
            return Ok(None);
        }
        let output = self.run(&["test", "--lib", "--tests", "--no-fail-fast"], &[])?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let is_outcome = |line: &&str| line.starts_with("test ") && line.contains(" ... ");
        Ok(Some(said.lines().filter(is_outcome).map(str::to_owned).collect()))
    }

    fn run(&self, arguments: &[&str], behind: &[&str]) -> Result<Output> {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(arguments).args(self.features).arg("--target-dir").arg(&self.target).current_dir(&self.folder);
        // Cap lints at warnings so that denied lints are counted like all others.
        cargo.env("RUSTFLAGS", "--cap-lints=warn").env("CARGO_INCREMENTAL", "0").env("CARGO_TERM_COLOR", "never");
        if !behind.is_empty() {
            cargo.arg("--").args(behind);
        }
        cargo.output().context("could not start cargo")
    }

    /// Returns the compiler's diagnostics for this package.
    fn messages(&self, output: &Output) -> impl Iterator<Item = Value> {
        let manifest = self.folder.join("Cargo.toml");
        let lines: Vec<Value> = String::from_utf8_lossy(&output.stdout).lines().filter_map(json).collect();
        lines
            .into_iter()
            .filter(move |line| {
                let of = line["manifest_path"].as_str().map(Path::new);
                line["reason"] == "compiler-message" && of.is_some_and(|of| same(of, &manifest))
            })
            .map(|mut line| line["message"].take())
    }
}

fn same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn place(message: &Value) -> Option<String> {
    let code = message["code"]["code"].as_str()?;
    let span = message["spans"].as_array()?.iter().find(|span| span["is_primary"] == true)?;
    Some(format!("{code} {}:{}", span["file_name"].as_str()?, span["line_start"]))
}

/// Downloads the dependencies of a package and returns its metadata.
pub(crate) fn metadata(folder: &Path) -> Result<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--quiet"])
        .current_dir(folder)
        .output()
        .context("could not start cargo")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    json(&String::from_utf8_lossy(&output.stdout)).context("cargo did not print JSON")
}

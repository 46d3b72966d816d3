//! Timed cargo builds of one generated crate.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};

/// A cargo command to time.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    Check,
    Release,
}

impl Step {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Check => &["check"],
            Self::Release => &["build", "--release"],
        }
    }
}

/// A generated crate.
pub(crate) struct Crate {
    workspace: PathBuf,
    name: &'static str,
}

impl Crate {
    pub(crate) fn new(workspace: &Path, name: &'static str) -> Self {
        Self { workspace: workspace.to_owned(), name }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Builds the crate with all its dependencies.
    pub(crate) fn build_first(&self, step: Step) -> Result<()> {
        self.run(&mut self.cargo(step))
    }

    /// Rebuilds the crate but not its dependencies, using one job, and returns the elapsed time.
    pub(crate) fn rebuild(&self, step: Step) -> Result<Duration> {
        self.touch()?;
        let mut cargo = self.cargo(step);
        cargo.args(["--jobs", "1", "--offline"]);
        let start = Instant::now();
        self.run(&mut cargo)?;
        Ok(start.elapsed())
    }

    /// Returns the path to the library from the release build.
    pub(crate) fn artifact(&self) -> PathBuf {
        let name = self.name.replace('-', "_");
        self.workspace.join(format!("target/release/lib{name}_cost.rlib"))
    }

    fn cargo(&self, step: Step) -> Command {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(step.arguments()).args(["--quiet", "--package", &format!("{}-cost", self.name)]);
        cargo.args(["--target-dir", "target"]).current_dir(&self.workspace);
        // The caller's flags must not affect the measurement.
        cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").env("CARGO_INCREMENTAL", "0");
        cargo
    }

    fn run(&self, cargo: &mut Command) -> Result<()> {
        let output = cargo.output().context("could not start cargo")?;
        ensure!(
            output.status.success(),
            "crate `{}` does not build:\n{}",
            self.name,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    fn touch(&self) -> Result<()> {
        let source = self.workspace.join(self.name).join("src/lib.rs");
        let file = File::options().append(true).open(&source);
        file.and_then(|file| file.set_modified(SystemTime::now())).context("could not touch the generated source")
    }
}

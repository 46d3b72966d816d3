//! Builds code from the documentation in new projects.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Returns the target directory.
pub(crate) fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("..")
}

/// Builds a program in a new project with the dependencies that the documentation lists.
pub(crate) fn build(name: &str, dependencies: &str, main: &str) -> PathBuf {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../metrics-core").canonicalize().expect("it is there");
    let dependencies = dependencies.replace("../metrics/metrics-core", library.to_str().expect("UTF-8"));
    let project = tempfile::tempdir().expect("a temporary directory");
    let package = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n");
    fs::write(project.path().join("Cargo.toml"), package + &dependencies).expect("written");
    fs::create_dir(project.path().join("src")).expect("created");
    fs::write(project.path().join("src/main.rs"), main).expect("written");
    let mut build = Command::new(env!("CARGO"));
    // A profile of the same name has the same directory, so that some dependencies are shared. These programs are not
    // debugged, and debug info would take up most of the disk space.
    build.args(["build", "--profile", "checked", "--config", "profile.checked.inherits='dev'"]);
    build.args(["--config", "profile.checked.debug=false"]);
    build.current_dir(project.path()).env("CARGO_TARGET_DIR", target());
    let output = build.stdout(Stdio::inherit()).output().expect("cargo");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    target().join("checked").join(name)
}

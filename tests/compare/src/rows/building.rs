//! The library's build costs: compile time, machine code, and number of crates.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::report::{Report, figure};

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    functions(rounds, report)?;
    crates(report)
}

/// Runs the `compile-cost` benchmark for the attributes that the budget compares.
fn functions(rounds: usize, report: &mut Report) -> Result<()> {
    let manifest = Path::new(REPOSITORY).join("tests/compile-cost/Cargo.toml");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--release", "--manifest-path"]).arg(manifest);
    cargo.args(["--", "--only", "metrics-core,fastrace", "--check-only", "--rounds", &rounds.min(31).to_string()]);
    let text = output(&mut cargo)?;
    let check = figure_of(&text, "check_ratio")?;
    let bytes = figure_of(&text, "text_bytes")?;
    report.judge("compile_time", check);
    report.judge("machine_code", bytes);
    let row = |what: &str, value: f64| vec![what.to_owned(), figure(value)];
    let rows = [
        row("`cargo check` of an annotated function, over fastrace's `#[trace]`", check),
        row("machine code of an annotated function, bytes", bytes),
    ];
    report.table("The attribute", &["what", "value"], &rows);
    Ok(())
}

/// Parses the figure from a line such as `compile_cost_budget,check_ratio=0.9,must=1.5,met`.
fn figure_of(text: &str, key: &str) -> Result<f64> {
    let prefix = format!("compile_cost_budget,{key}=");
    let rest = text
        .lines()
        .find_map(|line| line.strip_prefix(&prefix))
        .context("the output of `compile-cost` lacks a figure")?;
    Ok(rest.split(',').next().unwrap_or(rest).parse()?)
}

fn crates(report: &mut Report) -> Result<()> {
    let prometheus = count(&["--package", "prometheus"])?;
    let default = count(&["--package", "metrics-core"])?;
    let without_http = count(&["--package", "metrics-core", "--no-default-features", "--features", "macros"])?;
    report.judge("crates_default", default - prometheus);
    report.judge("crates_without_http", without_http - prometheus);
    let row = |what: &str, value: f64| vec![what.to_owned(), value.to_string(), (value - prometheus).to_string()];
    let rows = [row("`prometheus`", prometheus), row("default", default), row("without the HTTP server", without_http)];
    report.table("Crates in a build, without our own two", &["build", "crates", "more than `prometheus`"], &rows);
    Ok(())
}

fn count(arguments: &[&str]) -> Result<f64> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--edges", "normal,build", "--prefix", "none"]).args(arguments).current_dir(REPOSITORY);
    let tree = output(&mut cargo)?;
    let crates: BTreeSet<_> = tree
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .filter(|line| !line.is_empty() && !line.starts_with("metrics-core ") && !line.starts_with("metrics-macros "))
        .collect();
    Ok(crates.len() as f64)
}

fn output(cargo: &mut Command) -> Result<String> {
    let output = cargo.output().context("could not start cargo")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

//! Calls in a debug build, compared with the same instrumentation by hand with the `prometheus` crate.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::child::{self, Task};
use crate::labels::paths;
use crate::measure::Contest;
use crate::peers::Peer;
use crate::peers::ours::{self, Ours};
use crate::peers::prometheus::{self, Prometheus};
use crate::report::{Report, figure};

/// Builds this program without optimizations and lets it measure itself.
pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    // Runs `cargo` from `PATH`, not from `$CARGO`: without rustup's proxy, dependencies with a `rust-toolchain` file
    // would choose the compiler.
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--quiet", "--manifest-path"]).arg(manifest);
    if let Some(target) = env::current_exe()?.ancestors().nth(2) {
        cargo.arg("--target-dir").arg(target);
    }
    let output = cargo.args(["--", &format!("--{}", child::OPTION), &Task::Debug { rounds }.to_argument()]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figures = child::figures(&String::from_utf8(output.stdout)?)?;
    let [literal, by_path, literal_ns, by_path_ns] = figures[..] else {
        unreachable!("`measure` returns four figures")
    };
    report.judge("debug_literal", literal);
    report.judge("debug_path", by_path);
    let row = |what: &str, ns: f64, ratio: f64| vec![what.to_owned(), figure(ns), figure(ratio)];
    let rows = [row("literal", literal_ns, literal), row("path", by_path_ns, by_path)];
    report.table("Calls in a debug build", &["labels", "ns", "over `prometheus` by hand"], &rows);
    Ok(())
}

/// Returns the ratios for a literal call and a call by path, then the nanoseconds of both.
pub(crate) fn measure(rounds: usize) -> Result<Vec<f64>> {
    ensure!(cfg!(debug_assertions), "this is not a debug build");
    let mut literal = Contest::default();
    literal.add("ours", ours::call_literal(false));
    literal.add("prometheus", prometheus::call_literal(false));
    let mut by_path = Contest::default();
    by_path.add("ours", Ours.call(paths(10), false));
    by_path.add("prometheus", Prometheus.call(paths(10), false));
    let [literal, by_path] = [literal, by_path].map(|contest| contest.run(rounds));
    let ratios = [&literal, &by_path].map(|figures| figures.ratio("ours", "prometheus"));
    let times = [&literal, &by_path].map(|figures| figures.median("ours"));
    Ok([ratios, times].concat())
}

//! Instructions per call, counted by callgrind. They are the same on every machine with the same compiler.
//!
//! Callgrind counts the instructions of a function and its callees in a child process. The difference between two runs
//! with different numbers of calls excludes a thread's first call.

use std::env;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::annotated::{ALL, Counted};
use crate::child::{self, Task};
use crate::report::{Report, figure};

const FEW: usize = 1_000;
const MANY: usize = 2_000;

pub(crate) fn run(_: usize, report: &mut Report) -> Result<()> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("\nInstructions are not counted, because `valgrind` is not installed.");
        return Ok(());
    }
    let mut rows = Vec::new();
    for counted in ALL {
        let [ok, err] = [false, true].map(|fails| per_call(&counted, fails));
        let (ok, err) = (ok?, err?);
        report.judge(&format!("instructions_{}", counted.id), ok);
        report.fact(format!("instructions_{}_err", counted.id), err);
        rows.push(vec![counted.what.to_owned(), figure(ok), figure(err)]);
    }
    report.table("Instructions per call", &["what", "`Ok`", "`Err`"], &rows);
    Ok(())
}

fn per_call(counted: &Counted, fails: bool) -> Result<f64> {
    let [few, many] = [FEW, MANY].map(|calls| count(counted, calls, fails));
    let (few, many) = (few?, many?);
    ensure!(many > few, "callgrind found no calls of {}", counted.function);
    Ok((many - few) / (MANY - FEW) as f64)
}

/// Returns the number of instructions of so many calls.
fn count(counted: &Counted, calls: usize, fails: bool) -> Result<f64> {
    let task = Task::Calls { id: counted.id.to_owned(), calls, fails };
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--toggle-collect=compare::annotated::{}", counted.function))
        .arg(env::current_exe()?)
        .args([format!("--{}", child::OPTION), task.to_argument()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{text}");
    let collected = text.lines().find_map(|line| line.split("Collected :").nth(1)).context("no count")?;
    Ok(collected.trim().parse()?)
}

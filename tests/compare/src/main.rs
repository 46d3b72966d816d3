//! The library beside its peers and beside the limit of the hardware, in one run: every row of the budget, as ratios.

mod allocator;
mod budget;
mod child;
mod handler;
mod labels;
mod measure;
mod peers;
mod report;
mod rows;
mod threads;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::child::Task;
use crate::report::Report;

const USAGE: &str = "options: --only <part of the name of a group of rows>, --rounds <number, 41 unless given>";

/// What to measure, and how often.
struct Options {
    only: String,
    rounds: usize,
    /// Set in a process that was started to measure one thing.
    child: Option<Task>,
}

fn main() -> Result<ExitCode> {
    let options = options().context(USAGE)?;
    if let Some(task) = options.child {
        println!("{}", task.perform()?);
        return Ok(ExitCode::SUCCESS);
    }
    let upkeep = peers::metrics::install();
    let mut report = Report::default();
    let is_wanted = |name: &str| name.contains(&options.only);
    let mut calls = is_wanted(rows::CALLS).then(|| rows::calls::Calls::begin(options.rounds));
    for group in rows::GROUPS.iter().filter(|group| is_wanted(group.name)) {
        if let Some(calls) = &mut calls {
            calls.sit();
        }
        eprintln!("{}", group.name);
        (group.run)(options.rounds, &mut report).with_context(|| format!("rows of `{}`", group.name))?;
        upkeep.run_upkeep();
    }
    if let Some(calls) = calls {
        eprintln!("{}", rows::CALLS);
        calls.finish(&mut report);
        upkeep.run_upkeep();
    }
    Ok(if report.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn options() -> Result<Options> {
    use lexopt::prelude::{Long, ValueExt};

    let mut options = Options { only: String::new(), rounds: 41, child: None };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("only") => options.only = parser.value()?.string()?,
            Long("rounds") => options.rounds = parser.value()?.parse()?,
            Long(child::OPTION) => options.child = Some(Task::from_argument(&parser.value()?.string()?)?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let names = || [rows::CALLS].into_iter().chain(rows::GROUPS.map(|group| group.name));
    ensure!(options.rounds > 0, "--rounds is 1 at least");
    ensure!(
        names().any(|name| name.contains(&options.only)),
        "no group of rows has `{}` in its name; there are: {}",
        options.only,
        names().collect::<Vec<_>>().join(", ")
    );
    Ok(options)
}

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
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::child::Task;
use crate::report::Report;
use crate::rows::AllAlong;

const USAGE: &str =
    "options: --only <parts of names of groups of rows, with commas>, --rounds <number, 41 unless given>";

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
    let is_wanted = |name: &str| options.only.split(',').any(|only| name.contains(only));
    let mut long = Long::begin(options.rounds, is_wanted);
    for group in rows::GROUPS.iter().filter(|group| is_wanted(group.name)) {
        long.sit();
        eprintln!("{}", group.name);
        (group.run)(options.rounds, &mut report).with_context(|| format!("rows of `{}`", group.name))?;
        upkeep.run_upkeep();
    }
    long.finish(&mut report);
    upkeep.run_upkeep();
    Ok(if report.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The groups that are measured all along the run, in sittings.
struct Long {
    groups: Vec<(&'static str, Box<dyn AllAlong>)>,
    /// Of each sitting.
    rounds: usize,
    sittings: usize,
}

impl Long {
    /// Sittings at least, of which some may be held between other groups.
    const SITTINGS: usize = 8;
    /// How long it is quiet between sittings that have nothing between them.
    const PAUSE: Duration = Duration::from_secs(5);

    fn begin(rounds: usize, is_wanted: impl Fn(&str) -> bool) -> Self {
        let wanted = rows::LONG_GROUPS.into_iter().filter(|group| is_wanted(group.name));
        let groups = wanted.map(|group| (group.name, (group.begin)())).collect();
        Self { groups, rounds: rounds.div_ceil(Self::SITTINGS), sittings: 0 }
    }

    fn sit(&mut self) {
        for (_, group) in &mut self.groups {
            group.sit(self.rounds);
        }
        self.sittings += 1;
    }

    fn finish(mut self, report: &mut Report) {
        if self.groups.is_empty() {
            return;
        }
        self.sit();
        while self.sittings < Self::SITTINGS {
            thread::sleep(Self::PAUSE);
            self.sit();
        }
        for (name, group) in self.groups {
            eprintln!("{name}");
            group.finish(report);
        }
    }
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
    let names = || rows::LONG_GROUPS.map(|group| group.name).into_iter().chain(rows::GROUPS.map(|group| group.name));
    ensure!(options.rounds > 0, "--rounds is 1 at least");
    ensure!(
        options.only.split(',').all(|only| names().any(|name| name.contains(only))),
        "no group of rows has each of `{}` in its name; there are: {}",
        options.only,
        names().collect::<Vec<_>>().join(", ")
    );
    Ok(options)
}

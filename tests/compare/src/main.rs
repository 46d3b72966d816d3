//! Compares the library with its peers and with the hardware limit in one run, and reports each budget row as a ratio.

mod allocator;
mod annotated;
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

const USAGE: &str = "options: --only <comma-separated parts of group names>, --rounds <number of rounds, default 41>";

/// The command-line options.
struct Options {
    only: String,
    rounds: usize,
    /// The only task to perform, if this is a child process.
    child: Option<Task>,
}

fn main() -> Result<ExitCode> {
    let options = options().context(USAGE)?;
    if let Some(task) = options.child {
        let figures: Vec<_> = task.perform()?.iter().map(f64::to_string).collect();
        println!("{}", figures.join(" "));
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

/// The groups that are measured throughout the run, in sittings.
struct Long {
    groups: Vec<(&'static str, Box<dyn AllAlong>)>,
    /// Rounds per sitting.
    rounds: usize,
    sittings: usize,
}

impl Long {
    /// Minimum number of sittings, including those between other groups.
    const SITTINGS: usize = 8;
    /// Pause between two sittings if no other group runs between them.
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
    ensure!(options.rounds > 0, "--rounds must be at least 1");
    ensure!(
        options.only.split(',').all(|only| names().any(|name| name.contains(only))),
        "each part of `--only {}` must occur in a group name; the groups are: {}",
        options.only,
        names().collect::<Vec<_>>().join(", ")
    );
    Ok(options)
}

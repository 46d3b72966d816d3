//! Measures the compile time and machine code that an attribute adds to a function, for this workspace's attribute and
//! those from other crates.

mod cargo;
mod generate;
mod report;
mod size;
mod variant;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cargo::{Crate, Step};
use crate::size::Size;
use crate::variant::{PLAIN, VARIANTS, Variant};

const USAGE: &str = "options: --functions <number, default 500>, --rounds <number, default 5>, \
                     --only <comma-separated attributes>, --check-only";

/// The command-line options.
struct Options {
    functions: usize,
    rounds: usize,
    /// The attributes to measure, all by default. The plain functions are always included.
    variants: Vec<&'static Variant>,
    /// Skips timing release builds. Their size is still measured.
    check_only: bool,
}

impl Options {
    fn steps(&self) -> &'static [Step] {
        if self.check_only { &[Step::Check] } else { &[Step::Check, Step::Release] }
    }
}

/// The cost of one variant: the times measured in each round, and the size of the release build.
#[derive(Default)]
struct Cost {
    check: Vec<Duration>,
    release: Vec<Duration>,
    size: Size,
}

fn main() -> Result<()> {
    let options = options().context(USAGE)?;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/compile-cost");
    generate::workspace(&workspace, &options.variants, options.functions).context("could not generate the crates")?;
    let crates: Vec<_> = options.variants.iter().map(|variant| Crate::new(&workspace, variant.name)).collect();
    let mut costs: Vec<_> = crates.iter().map(first).collect::<Result<_>>()?;
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        measure(&crates, options.steps(), round, &mut costs)?;
    }
    let names = options.variants.iter().map(|variant| variant.name);
    report::print(&names.zip(costs).collect::<Vec<_>>(), options.functions);
    Ok(())
}

/// Builds a crate and its dependencies without timing them.
fn first(krate: &Crate) -> Result<Cost> {
    eprintln!("{} and its dependencies", krate.name());
    krate.build_first(Step::Check)?;
    krate.build_first(Step::Release)?;
    Ok(Cost { size: size::of(&krate.artifact())?, ..Cost::default() })
}

/// Measures each crate once. Each round starts with a different crate, so that other load affects all crates alike.
fn measure(crates: &[Crate], steps: &[Step], round: usize, costs: &mut [Cost]) -> Result<()> {
    for offset in 0..crates.len() {
        let at = (round + offset) % crates.len();
        for step in steps {
            let time = crates[at].rebuild(*step)?;
            match step {
                Step::Check => costs[at].check.push(time),
                Step::Release => costs[at].release.push(time),
            }
        }
    }
    Ok(())
}

fn options() -> Result<Options> {
    use lexopt::prelude::{Long, ValueExt};

    let mut options = Options { functions: 500, rounds: 5, variants: VARIANTS.iter().collect(), check_only: false };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("functions") => options.functions = parser.value()?.parse()?,
            Long("rounds") => options.rounds = parser.value()?.parse()?,
            Long("only") => options.variants = only(&parser.value()?.string()?)?,
            Long("check-only") => options.check_only = true,
            _ => return Err(argument.unexpected().into()),
        }
    }
    ensure!(options.functions > 1, "--functions must be at least 2, one sync and one async");
    ensure!(options.rounds > 0, "--rounds must be at least 1");
    Ok(options)
}

fn only(names: &str) -> Result<Vec<&'static Variant>> {
    let names: Vec<_> = names.split(',').collect();
    for name in &names {
        let known = VARIANTS.iter().map(|variant| variant.name);
        ensure!(
            known.clone().any(|variant| variant == *name),
            "unknown attribute `{name}`; known are {}",
            known.collect::<Vec<_>>().join(", ")
        );
    }
    Ok(VARIANTS.iter().filter(|variant| variant.name == PLAIN || names.contains(&variant.name)).collect())
}

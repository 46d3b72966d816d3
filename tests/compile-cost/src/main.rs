//! What an attribute on a function costs: time of the compiler, and machine code; the attribute of this workspace beside
//! those of others, in one run.

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

const USAGE: &str = "options: --functions <number, 500 unless given>, --rounds <number, 5 unless given>, \
                     --only <names of attributes, with commas>, --check-only";

/// How much to measure.
struct Options {
    functions: usize,
    rounds: usize,
    /// What is measured: all there are, unless some are named. The plain functions are always among them.
    variants: Vec<&'static Variant>,
    /// How long a release build takes is left out; how large it is, is not.
    check_only: bool,
}

impl Options {
    fn steps(&self) -> &'static [Step] {
        if self.check_only { &[Step::Check] } else { &[Step::Check, Step::Release] }
    }
}

/// What one variant took: a time for each round, and the size of what came out.
#[derive(Default)]
struct Cost {
    check: Vec<Duration>,
    release: Vec<Duration>,
    size: Size,
}

fn main() -> Result<()> {
    let options = options().context(USAGE)?;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/compile-cost");
    generate::workspace(&workspace, &options.variants, options.functions)
        .context("the crates could not be generated")?;
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

/// Builds a crate and all it depends on, which no figure contains.
fn first(krate: &Crate) -> Result<Cost> {
    eprintln!("{} and its dependencies", krate.name());
    krate.build_first(Step::Check)?;
    krate.build_first(Step::Release)?;
    Ok(Cost { size: size::of(&krate.artifact())?, ..Cost::default() })
}

/// Each crate once, beginning with another one in each round: what disturbs the machine then meets all of them.
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
    ensure!(options.functions > 1, "--functions is 2 at least, one sync and one async");
    ensure!(options.rounds > 0, "--rounds is 1 at least");
    Ok(options)
}

fn only(names: &str) -> Result<Vec<&'static Variant>> {
    let names: Vec<_> = names.split(',').collect();
    for name in &names {
        let known = VARIANTS.iter().map(|variant| variant.name);
        ensure!(
            known.clone().any(|variant| variant == *name),
            "`{name}` is none of {}",
            known.collect::<Vec<_>>().join(", ")
        );
    }
    Ok(VARIANTS.iter().filter(|variant| variant.name == PLAIN || names.contains(&variant.name)).collect())
}

//! Annotates every function in published crates and reports the changes in errors, lints and test results.

mod annotate;
mod cargo;
mod crates;
mod source;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::crates::{CRATES, Published};
use crate::source::Copies;

const USAGE: &str = "options: [CRATE]... (default: all), --pedantic, --without-tests, --verbose";

/// The crates to test and the command-line options.
#[derive(Default)]
struct Options {
    crates: Vec<&'static Published>,
    /// Also compares the `clippy::pedantic` lints.
    pedantic: bool,
    without_tests: bool,
    /// Prints each error, lint and test that differs.
    verbose: bool,
}

fn main() -> Result<()> {
    let options = options().context(USAGE)?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/world");
    println!("| crate | functions | errors | changed tests | lints added | lints lost |");
    println!("|---|---|---|---|---|---|");
    for published in &options.crates {
        match row(published, &folder, &options) {
            Ok(row) => println!("{row}"),
            Err(error) => println!("| {} | skipped: {error:#} | | | | |", published.name),
        }
    }
    Ok(())
}

/// Tests a crate and returns its row in the table.
fn row(published: &Published, folder: &Path, options: &Options) -> Result<String> {
    let copies = Copies::make(published, folder)?;
    let (plain, annotated) = (copies.plain(), copies.annotated());
    let title = format!("{} {}", published.name, copies.version());
    let before = plain.check()?;
    ensure!(before.is_empty(), "does not compile without the attribute: {}", before.join("; "));
    let errors = annotated.check()?;
    if options.verbose {
        errors.iter().for_each(|error| eprintln!("{title}: {error}"));
    }
    let functions = copies.functions();
    if !errors.is_empty() {
        return Ok(format!("| {title} | {functions} | {} | | | |", errors.len()));
    }
    let (before, after) = (plain.lints(options.pedantic)?, annotated.lints(options.pedantic)?);
    let added = difference("lint added", &after, &before, options.verbose);
    let lost = difference("lint lost", &before, &after, options.verbose);
    let tests = if options.without_tests {
        "not run".to_owned()
    } else {
        match plain.tests()? {
            Some(before) => {
                let after = annotated.tests()?.unwrap_or_default();
                let changed = difference("test changed", &before, &after, options.verbose);
                format!("{changed} of {}", before.len())
            }
            None => "do not build in the published package".to_owned(),
        }
    };
    Ok(format!("| {title} | {functions} | 0 | {tests} | {added} | {lost} of {} |", before.len()))
}

fn difference(what: &str, all: &BTreeSet<String>, without: &BTreeSet<String>, verbose: bool) -> usize {
    let different: Vec<_> = all.difference(without).collect();
    if verbose {
        different.iter().for_each(|one| eprintln!("{what}: {one}"));
    }
    different.len()
}

fn options() -> Result<Options> {
    use lexopt::prelude::{Long, Value, ValueExt};

    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("pedantic") => options.pedantic = true,
            Long("without-tests") => options.without_tests = true,
            Long("verbose") => options.verbose = true,
            Value(name) => {
                let name = name.string()?;
                let published = CRATES.iter().find(|published| published.name == name);
                options.crates.push(published.with_context(|| format!("crate `{name}` is not in src/crates.rs"))?);
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    if options.crates.is_empty() {
        options.crates = CRATES.iter().collect();
    }
    Ok(options)
}

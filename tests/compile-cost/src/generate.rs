//! Generates a workspace of crates that differ only in their attributes.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

use crate::variant::Variant;

/// Code that all crates share.
///
/// Static tables refer to every function, so that the compiler does not remove any. The tables box the futures, so that
/// they are polled and dropped through pointers, like spawned futures.
const PREAMBLE: &str = "\
//! Generated.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

#[derive(Debug)]
pub struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(\"failed\")
    }
}

impl std::error::Error for Failed {}

pub type Later<'a> = Pin<Box<dyn Future<Output = Result<u64, Failed>> + Send + 'a>>;

#[inline(never)]
pub fn length(name: &str) -> Result<u64, Failed> {
    u64::try_from(name.len()).map_err(|_| Failed)
}

#[inline(never)]
pub fn length_later(name: &str) -> Later<'_> {
    Box::pin(std::future::ready(length(name)))
}
";

/// Writes the workspace, with one crate per variant.
pub(crate) fn workspace(at: &Path, variants: &[&Variant], functions: usize) -> io::Result<()> {
    let members: Vec<_> = variants.iter().map(|variant| variant.name).collect();
    fs::create_dir_all(at)?;
    fs::write(at.join("Cargo.toml"), format!("[workspace]\nresolver = \"3\"\nmembers = {members:?}\n"))?;
    for variant in variants {
        let source = at.join(variant.name).join("src");
        fs::create_dir_all(&source)?;
        fs::write(at.join(variant.name).join("Cargo.toml"), manifest(variant))?;
        fs::write(source.join("lib.rs"), library(variant, functions))?;
    }
    Ok(())
}

fn manifest(Variant { name, dependency, .. }: &Variant) -> String {
    format!(
        "[package]\nname = \"{name}-cost\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n{dependency}\n"
    )
}

/// Generates functions, half of them async, and the tables that refer to them.
fn library(variant: &Variant, functions: usize) -> String {
    let mut source = PREAMBLE.to_owned();
    let [mut now, mut later] = [String::new(), String::new()];
    for number in 0..functions {
        let attribute = variant.attribute.replace("{function}", &format!("f{number}"));
        let (asyncness, length) =
            if number % 2 == 0 { ("", "length(name)") } else { ("async ", "length_later(name).await") };
        source.push_str(&function(number, &attribute, asyncness, length));
        let _ = if number % 2 == 0 {
            write!(now, "f{number}, ")
        } else {
            write!(later, "|id, name| Box::pin(f{number}(id, name)), ")
        };
    }
    let _ = write!(
        source,
        "
pub static NOW: [fn(u64, &str) -> Result<u64, Failed>; {}] = [{now}];

pub static LATER: [for<'a> fn(u64, &'a str) -> Later<'a>; {}] = [{later}];
",
        functions.div_ceil(2),
        functions / 2,
    );
    source
}

/// Generates one function. The body contains `number`, so that the compiler does not merge the functions.
fn function(number: usize, attribute: &str, asyncness: &str, length: &str) -> String {
    format!(
        "
{attribute}
pub {asyncness}fn f{number}(id: u64, name: &str) -> Result<u64, Failed> {{
    let length = {length}?;
    if length == {number} {{
        return Err(Failed);
    }}
    Ok(id.wrapping_mul({number}) ^ length)
}}
"
    )
}

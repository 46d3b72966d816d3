//! Finds the name by which the annotated crate refers to `metrics-core`.
//!
//! A dependency may be renamed in `Cargo.toml`, and a macro cannot see the path through which it was called. However,
//! the compiler runs macros in its own process, whose command-line arguments list the dependencies and their files:
//! `--extern measured=libmetrics_core-0123.rmeta`. The arguments also reflect renames in a workspace or for a single
//! target, and they do not depend on the build system. Reading `Cargo.toml` instead would require a TOML parser, which
//! every user would have to compile. If macros run in another process, as in rust-analyzer, these arguments are missing
//! and the name defaults to `metrics_core`.

use std::sync::OnceLock;

use proc_macro2::{Ident, Span};
use syn::{Error, Path, Result};

const NAME: &str = "metrics_core";

/// Returns the path that generated code uses if the `crate` option is absent; `None` means `::metrics_core`.
///
/// # Errors
///
/// Returns an error if the crate does not depend on `metrics-core` directly, for example because it uses a re-export.
pub(crate) fn path(attribute: &str) -> Result<Option<Path>> {
    static FOUND: OnceLock<Found> = OnceLock::new();
    match FOUND.get_or_init(|| find(std::env::args().flat_map(read))) {
        Found::Default => Ok(None),
        Found::Renamed(name) => {
            let name = Ident::new(name, Span::call_site());
            Ok(Some(syn::parse_quote!(::#name)))
        }
        Found::Nowhere => {
            let message = format!(
                "`metrics-core` is not a dependency of this crate: add it to Cargo.toml, or write `#[{attribute}(crate = path)]` with the path of a re-export"
            );
            Err(Error::new(Span::call_site(), message))
        }
    }
}

/// Expands an `@file` argument into the arguments in that file.
fn read(arg: String) -> Vec<String> {
    match arg.strip_prefix('@').map(std::fs::read_to_string) {
        Some(Ok(args)) => args.lines().map(str::to_owned).collect(),
        Some(Err(_)) | None => vec![arg],
    }
}

#[derive(Debug, PartialEq)]
enum Found {
    Default,
    Renamed(String),
    Nowhere,
}

/// Looks up `metrics-core` in the compiler's arguments.
fn find(args: impl Iterator<Item = String>) -> Found {
    let mut has_dependencies = false;
    let mut found = Found::Nowhere;
    let mut is_value = false;
    for arg in args {
        let dependency = if std::mem::replace(&mut is_value, arg == "--extern") {
            Some(arg.as_str())
        } else {
            arg.strip_prefix("--extern=")
        };
        let Some(dependency) = dependency else { continue };
        has_dependencies = true;
        let (name, file) = dependency.split_once('=').unwrap_or((dependency, ""));
        // Options such as `priv` precede the name.
        let name = name.rsplit(':').next().unwrap_or(name);
        if name == NAME {
            return Found::Default;
        }
        if is_ours(file) {
            found = Found::Renamed(name.to_owned());
        }
    }
    if has_dependencies { found } else { Found::Default }
}

/// Returns true for a library file of `metrics-core`, such as `libmetrics_core-0123.rmeta`.
fn is_ours(file: &str) -> bool {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let name = name.strip_prefix("lib").unwrap_or(name);
    name.strip_prefix(NAME).is_some_and(|rest| rest.starts_with(['-', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_the_compiler_name_the_crate() {
        let found = |args: &[&str]| find(args.iter().map(|arg| (*arg).to_owned()));
        let renamed = |name: &str| Found::Renamed(name.to_owned());
        for (args, expected) in [
            (
                &["rustc", "--extern", "m=/t/libmetrics_core-01.rmeta", "--extern", "log=/t/liblog.rlib"][..],
                renamed("m"),
            ),
            (&["rustc", "--extern=m=/t/libmetrics_core-01.rlib"], renamed("m")),
            (&["rustc", "--extern", "priv,noprelude:m=C:\\t\\libmetrics_core.rlib"], renamed("m")),
            (&["rustc", "--extern", "m=metrics_core-01.dll"], renamed("m")),
            (&["rustc", "--extern", "metrics_core=/t/libmetrics_core-01.rlib"], Found::Default),
            (&["rustc", "--extern", "old=/libmetrics_core-01.rlib", "--extern", "metrics_core=x.rlib"], Found::Default),
            (&["rustc", "--extern", "metrics_core"], Found::Default),
            (&["rustc", "--extern", "facade=/t/libfacade-01.rlib"], Found::Nowhere),
            (&["rustc", "--extern", "m=/t/libmetrics_core_ext-01.rlib"], Found::Nowhere),
            (&["proc-macro-server"], Found::Default),
            (&["rustc", "@arguments"], Found::Default),
        ] {
            assert_eq!(found(args), expected, "{args:?}");
        }
    }
}

//! Problems that `Registry::check` reports.

use std::fmt;
use std::panic::Location;

use crate::error::Error;
use crate::lint::StyleRule;

/// Problems a registry keeps; what is found beyond is logged only.
const MAX_PROBLEMS: usize = 1_000;

/// Something that is wrong with what was declared. Its `Display` says what, where, and what to write instead.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Problem {
    /// What kind of problem it is.
    pub kind: ProblemKind,
    /// The family that is not exported, or not as declared, or whose name is not as it should be.
    pub family: String,
    /// What is wrong.
    pub message: String,
    /// Where the losing declaration stands, where it is known.
    pub location: Option<&'static Location<'static>>,
}

/// The kinds of [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// Two declarations do not go together, or one is invalid by itself; the later one is not exported.
    Declaration,
    /// A scrape skips a family that a collector reports: its name belongs to another family, or it cannot be written.
    CollectedFamily,
    /// A request passes two `RequestMetrics` layers with the same families; the inner one does not count it.
    RepeatedLayer,
    /// A `RequestMetrics` layer is applied to an axum router before its routes, whose requests it does not see.
    LayerBeforeRoutes,
    /// A name breaks a rule of style; the family is exported all the same.
    Style(StyleRule),
}

impl Problem {
    pub(crate) fn declaration(family: &str, error: &Error, location: &'static Location<'static>) -> Self {
        Self {
            kind: ProblemKind::Declaration,
            family: family.to_owned(),
            message: error.to_string(),
            location: Some(location),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = self.location {
            write!(f, "{}:{}: ", location.file(), location.line())?;
        }
        f.write_str(&self.message)
    }
}

/// The problems of a registry, each once.
#[derive(Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    /// False if it is known already, or there are too many.
    pub(super) fn add(&mut self, problem: Problem) -> bool {
        let new = self.0.len() < MAX_PROBLEMS && !self.0.contains(&problem);
        if new {
            self.0.push(problem);
        }
        new
    }

    /// Returns true if there is a problem that differs from this one at most in its location.
    pub(super) fn has_elsewhere(&self, problem: &Problem) -> bool {
        self.0.iter().any(|known| *known == Problem { location: known.location, ..problem.clone() })
    }

    pub(super) fn all(&self) -> &[Problem] {
        &self.0
    }
}

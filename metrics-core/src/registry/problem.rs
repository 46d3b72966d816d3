//! Problems that `Registry::check` reports.

use std::fmt;
use std::panic::Location;

use crate::error::Error;
use crate::lint::StyleRule;

/// The maximum number of problems that a registry keeps. Further problems are dropped.
const MAX_PROBLEMS: usize = 1_000;

/// A problem with a declaration, a collected family or a layer. Its `Display` output contains the location, if known,
/// and the message.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Problem {
    /// The kind of problem.
    pub kind: ProblemKind,
    /// The name of the affected family.
    pub family: String,
    /// A description of the problem, usually with a remedy.
    pub message: String,
    /// The source location of the declaration that causes the problem, if known.
    pub location: Option<&'static Location<'static>>,
}

/// The kind of a [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// A declaration is invalid or conflicts with an earlier one, and is therefore not exported.
    Declaration,
    /// A scrape skips a collector's family because its name is taken or because exporting it would invalidate the
    /// scrape.
    CollectedFamily,
    /// A request passes through two `RequestMetrics` layers with the same families, and only the outer layer counts it.
    RepeatedLayer,
    /// A `RequestMetrics` layer is applied to an axum router before its routes are added, so the layer does not see
    /// their requests.
    LayerBeforeRoutes,
    /// A family breaks a style rule, but is exported anyway.
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

/// A registry's problems, without duplicates.
#[derive(Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    /// Adds a problem. Returns false if the problem is already known, or if [`MAX_PROBLEMS`] has been reached.
    pub(super) fn add(&mut self, problem: Problem) -> bool {
        let new = self.0.len() < MAX_PROBLEMS && !self.0.contains(&problem);
        if new {
            self.0.push(problem);
        }
        new
    }

    /// Returns true if a known problem equals this one, ignoring locations.
    pub(super) fn has_elsewhere(&self, problem: &Problem) -> bool {
        self.0.iter().any(|known| *known == Problem { location: known.location, ..problem.clone() })
    }

    pub(super) fn all(&self) -> &[Problem] {
        &self.0
    }
}

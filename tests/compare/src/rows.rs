//! The rows, in groups that are measured together.

mod calls;
mod handles;
mod lookups;
mod polling;
mod two_threads;

use anyhow::Result;

use crate::report::Report;

/// Rows that are measured together.
#[derive(Clone, Copy)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    /// Measures, in so many rounds.
    pub(crate) run: fn(usize, &mut Report) -> Result<()>,
}

pub(crate) const GROUPS: [Group; 5] = [
    Group { name: "calls", run: calls::run },
    Group { name: "async", run: polling::run },
    Group { name: "handles", run: handles::run },
    Group { name: "lookups", run: lookups::run },
    Group { name: "threads", run: two_threads::run },
];

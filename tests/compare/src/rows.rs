//! The rows, in groups that are measured together.

mod allocations;
mod attack;
mod building;
pub(crate) mod calls;
mod clock;
mod cold;
mod endpoint;
mod growth;
mod handles;
mod live_threads;
mod lookups;
mod memory;
mod migration;
mod polling;
mod push;
mod scrape;
mod table;
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

/// The group that is measured between all others.
pub(crate) const CALLS: &str = "calls";

pub(crate) const GROUPS: [Group; 17] = [
    Group { name: "async", run: polling::run },
    Group { name: "handles", run: handles::run },
    Group { name: "lookups", run: lookups::run },
    Group { name: "threads", run: two_threads::run },
    Group { name: "allocations", run: allocations::run },
    Group { name: "scrape", run: scrape::run },
    Group { name: "memory", run: memory::run },
    Group { name: "building", run: building::run },
    Group { name: "peers", run: table::run },
    Group { name: "growth", run: growth::run },
    Group { name: "attack", run: attack::run },
    Group { name: "migration", run: migration::run },
    Group { name: "live", run: live_threads::run },
    Group { name: "cold", run: cold::run },
    Group { name: "clock", run: clock::run },
    Group { name: "endpoint", run: endpoint::run },
    Group { name: "push", run: push::run },
];

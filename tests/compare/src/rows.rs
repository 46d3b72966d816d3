//! The benchmark's rows, in groups that are measured together.

mod allocations;
mod attack;
mod building;
mod calls;
mod clock;
mod cold;
pub(crate) mod debug;
mod distributions;
mod endpoint;
mod facts;
mod growth;
mod handles;
mod instructions;
mod live_threads;
mod lookups;
mod memory;
mod migration;
mod polling;
mod push;
mod scrape;
mod shapes;
pub(crate) mod storm;
mod table;
pub(crate) mod tail;
mod two_threads;

use anyhow::Result;

use crate::report::Report;

/// Rows that are measured together.
#[derive(Clone, Copy)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    /// Measures the rows in the given number of rounds.
    pub(crate) run: fn(usize, &mut Report) -> Result<()>,
}

/// Rows that are measured throughout a run, in sittings between the other groups.
///
/// On a shared machine, a core may be slower for minutes at a time, and two virtual cores may share one physical core.
/// Such slowdowns hardly affect the limit, which mostly reads the clock, but they affect all code that does more work.
pub(crate) trait AllAlong {
    /// Measures the given number of additional rounds.
    fn sit(&mut self, rounds: usize);

    /// Reports the results.
    fn finish(self: Box<Self>, report: &mut Report);
}

/// Rows that are measured together throughout a run.
#[derive(Clone, Copy)]
pub(crate) struct LongGroup {
    pub(crate) name: &'static str,
    pub(crate) begin: fn() -> Box<dyn AllAlong>,
}

pub(crate) const LONG_GROUPS: [LongGroup; 3] = [
    LongGroup { name: "calls", begin: calls::Calls::begin },
    LongGroup { name: "lookups", begin: lookups::Lookups::begin },
    LongGroup { name: "threads", begin: two_threads::TwoThreads::begin },
];

pub(crate) const GROUPS: [Group; 22] = [
    Group { name: "instructions", run: instructions::run },
    Group { name: "async", run: polling::run },
    Group { name: "shapes", run: shapes::run },
    Group { name: "handles", run: handles::run },
    Group { name: "allocations", run: allocations::run },
    Group { name: "scrape", run: scrape::run },
    Group { name: "memory", run: memory::run },
    Group { name: "building", run: building::run },
    Group { name: "peers", run: table::run },
    Group { name: "distributions", run: distributions::run },
    Group { name: "growth", run: growth::run },
    Group { name: "attack", run: attack::run },
    Group { name: "migration", run: migration::run },
    Group { name: "live", run: live_threads::run },
    Group { name: "cold", run: cold::run },
    Group { name: "tail", run: tail::run },
    Group { name: "debug", run: debug::run },
    Group { name: "clock", run: clock::run },
    Group { name: "endpoint", run: endpoint::run },
    Group { name: "push", run: push::run },
    Group { name: "storm", run: storm::run },
    Group { name: "facts", run: facts::run },
];

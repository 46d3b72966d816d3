//! A scrape, which passes all families to a visitor in name order, with each series exactly once.
//!
//! [`gathering`] runs collectors and callbacks within the scrape's timeout; [`task`] does so without blocking.
//! [`sources`] lists the families. [`steps`] first reads the families that must be read early, and then visits all
//! families in steps of up to 128 series. Further steps run only once the client has read the previous output. No lock
//! is held between steps.

pub(crate) mod gathering;
pub(crate) mod own_families;
mod parts;
pub(crate) mod reader;
pub(crate) mod sources;
pub(crate) mod steps;
pub(crate) mod task;

use std::time::Duration;

use super::Registry;
use super::collect::context::DEFAULT_COLLECT_TIMEOUT;
use crate::sample::Visitor;
use sources::Sources;
use steps::Steps;

/// A scrape that has not begun; created by [`Registry::scrape`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a scrape does nothing until it is visited or encoded"]
pub struct Scrape<'r> {
    registry: &'r Registry,
    sorted: bool,
    timeout: Duration,
}

impl Registry {
    /// Returns a scrape of this registry, to be encoded or visited.
    pub fn scrape(&self) -> Scrape<'_> {
        Scrape { registry: self, sorted: false, timeout: DEFAULT_COLLECT_TIMEOUT }
    }
}

impl Scrape<'_> {
    /// Sorts the series of each family by labels instead of keeping them in creation order.
    ///
    /// Sorting makes a scrape slower; it is meant for tests and for comparing two scrapes. Series with different label
    /// names are sorted separately.
    pub fn sorted(mut self) -> Self {
        self.sorted = true;
        self
    }

    /// Sets the maximum time to wait for collectors; the default is 5 seconds.
    ///
    /// The scrape skips the families of collectors that have not finished in time, and counts each timeout in
    /// `metrics_core_internal_errors_total{kind="collector_timeout"}`.
    pub fn collector_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Passes every family and its series to `visitor`. No lock is held while the visitor runs.
    pub fn visit(self, visitor: &mut dyn Visitor) {
        self.begin().show_all(visitor);
    }

    /// Runs collectors and callbacks, and returns the steps of the scrape.
    pub(crate) fn begin(self) -> Steps {
        Steps::new(Sources::gather(self.registry, self.timeout), self.sorted)
    }
}

//! A scrape, which passes every family to a visitor in name order, and each series once.
//!
//! [`gathering`] runs collectors and callbacks within the scrape's timeout; [`task`] does so without blocking.
//! [`sources`] lists the families. [`steps`] first reads those that must be read early, and then visits all of them in
//! steps of up to 128 series, each as soon as the client has read the previous output. No lock is held between steps.

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

/// A scrape that is about to be made; made by [`Registry::scrape`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a scrape does nothing until it is visited or encoded"]
pub struct Scrape<'r> {
    registry: &'r Registry,
    sorted: bool,
    timeout: Duration,
}

impl Registry {
    /// A scrape of this registry, to be encoded or visited.
    pub fn scrape(&self) -> Scrape<'_> {
        Scrape { registry: self, sorted: false, timeout: DEFAULT_COLLECT_TIMEOUT }
    }
}

impl Scrape<'_> {
    /// Shows the series of each family in the order of their labels, not of their creation; those with other label names
    /// separately. Slower; meant for tests
    /// and for comparing two scrapes.
    pub fn sorted(mut self) -> Self {
        self.sorted = true;
        self
    }

    /// How long to wait for collectors; 5 seconds if not set. What is not there by then is left out, and counts in
    /// `metrics_core_internal_errors_total{kind="collector_timeout"}`.
    pub fn collector_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Shows every family, and every series of it, to `visitor`. No lock is held while the visitor runs.
    pub fn visit(self, visitor: &mut dyn Visitor) {
        self.begin().show_all(visitor);
    }

    /// Collects what is collected at a scrape, and begins to show everything.
    pub(crate) fn begin(self) -> Steps {
        Steps::new(Sources::gather(self.registry, self.timeout), self.sorted)
    }
}

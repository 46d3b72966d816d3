//! Collectors of the `prometheus` crate, each on its own: one that panics costs its own families only.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;

use super::Registry;
use crate::error::Error;
use crate::internal::InternalError;
use crate::sample::Kind;

/// Names a registered collector, to unregister it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectorId(u64);

/// The collectors of a registry.
#[derive(Default)]
pub(super) struct Collectors {
    last: u64,
    by_id: BTreeMap<CollectorId, Entry>,
}

struct Entry {
    names: Vec<String>,
    collector: Arc<dyn Collector>,
}

impl Collectors {
    pub(super) fn describes(&self, name: &str) -> bool {
        self.by_id.values().any(|entry| entry.names.iter().any(|described| described == name))
    }

    pub(super) fn all(&self) -> Vec<Arc<dyn Collector>> {
        self.by_id.values().map(|entry| Arc::clone(&entry.collector)).collect()
    }
}

impl Registry {
    /// Adds a collector of the `prometheus` crate: any of its metrics, or one of your own.
    ///
    /// No lock is held while it collects. If it panics its families are left out of that scrape, and it counts in
    /// `metrics_core_internal_errors_total{kind="collector_panic"}`.
    ///
    /// # Errors
    ///
    /// Where a name it describes is invalid or belongs to something registered before.
    ///
    /// # Example: a metric of the `prometheus` crate
    ///
    /// ```
    /// use metrics_core::{Registry, prometheus};
    ///
    /// let registry = Registry::new();
    /// let jobs = prometheus::IntCounter::new("jobs_total", "Jobs done.")?;
    /// registry.register_collector(Box::new(jobs.clone()))?;
    /// jobs.inc();
    /// assert!(registry.to_text().ends_with("jobs_total 1\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn register_collector(&self, collector: Box<dyn Collector>) -> Result<CollectorId, Error> {
        let names: Vec<String> = collector.desc().iter().map(|desc| desc.fq_name.clone()).collect();
        let mut state = self.write();
        for name in &names {
            if !crate::labels::is_metric_name(name) {
                return Err(Error::InvalidName { name: name.clone() });
            }
            let by = match state.members.clash(name, Kind::Untyped) {
                Some(by) => by.to_owned(),
                None if state.collectors.describes(name) => "another collector has it".to_owned(),
                None => continue,
            };
            return Err(Error::Collector { name: name.clone(), by });
        }
        let collectors = &mut state.collectors;
        collectors.last += 1;
        let id = CollectorId(collectors.last);
        collectors.by_id.insert(id, Entry { names, collector: Arc::from(collector) });
        Ok(id)
    }

    /// Takes a collector out of the registry; false if it is not there.
    pub fn unregister_collector(&self, id: CollectorId) -> bool {
        let removed = self.write().collectors.by_id.remove(&id);
        // Dropped after the lock is given back: it is user code.
        removed.is_some()
    }

    /// What all collectors show now, and the default registry of the `prometheus` crate if this is the global one.
    pub(super) fn collect_foreign(&self) -> Vec<MetricFamily> {
        let _collecting = super::bridge::Collecting::for_registry(self);
        let collectors = self.read().collectors.all();
        let mut families = Vec::new();
        for collector in collectors {
            families.extend(isolated("a registered collector", || collector.collect()).unwrap_or_default());
        }
        if self.inner.is_global {
            let default = isolated("the `prometheus` registry", super::bridge::gather_default);
            families.extend(default.unwrap_or_default());
        }
        families
    }
}

/// Runs user code; a panic is counted, and ends here.
pub(super) fn isolated<R>(what: &str, f: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(f)).inspect_err(|_| InternalError::CollectorPanic.record(&what)).ok()
}

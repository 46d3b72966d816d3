//! Collectors of this crate and the `prometheus` crate, isolated from each other. If a collector fails, panics or times
//! out, only its own families are skipped.

pub(crate) mod context;
pub(crate) mod runs;
pub(crate) mod waiter;

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Collector;

use super::Registry;
use super::shown::recorded::Recorder;
use super::shown::{Collected, CollectedFamily};
use crate::error::{Error, Owner};
use crate::internal::InternalError;
use crate::kind::Kind;
use crate::labels;
use crate::logging::guarded;
use crate::sample::Visitor;
use context::ScrapeContext;
use runs::{PendingRun, Runs};
use waiter::Waiter;

/// Reports families that are computed at each scrape, such as the statistics of a pool, a cache or the system.
///
/// A collector runs on a dedicated thread, or on the scraping thread if no thread can be spawned. If a collector
/// scrapes its own registry, that scrape skips the registry's collectors, because the collector would otherwise wait
/// for itself.
///
/// Concurrent scrapes share a run. If the run does not end within a scrape's timeout
/// ([`Scrape::collector_timeout`](crate::Scrape::collector_timeout), 5 seconds by default), that scrape gives up on the
/// run and skips the collector's families. Until the run ends, a later scrape skips the families without waiting if the
/// run has already exceeded the later scrape's timeout. Otherwise, the later scrape starts or joins another run. At
/// most four runs of a collector are in flight at once.
///
/// # Example: a connection pool
///
/// ```
/// use std::error::Error;
///
/// use metrics_core::{Collect, FamilyInfo, Kind, Labels, Registry, Value, Visitor};
///
/// struct Pool;
///
/// impl Collect for Pool {
///     fn names(&self) -> Vec<String> {
///         vec!["pool_connections".to_owned()]
///     }
///
///     fn collect(&self, visitor: &mut dyn Visitor) -> Result<(), Box<dyn Error + Send + Sync>> {
///         visitor.family(&FamilyInfo::new("pool_connections", "Connections in the pool.", Kind::Gauge));
///         visitor.series(Labels::of(&[("state", "idle")]).borrow(), &Value::Gauge(3.0));
///         Ok(())
///     }
/// }
///
/// let registry = Registry::new();
/// registry.register_collector(Pool)?;
/// assert!(registry.to_text().ends_with("pool_connections{state=\"idle\"} 3\n"));
/// # Ok::<(), metrics_core::Error>(())
/// ```
pub trait Collect: Send + Sync + 'static {
    /// Returns the names of all families that the collector can report.
    fn names(&self) -> Vec<String>;

    /// Reports the current families in any order. A family may be reported in several parts.
    ///
    /// # Errors
    ///
    /// Returns an error if the values cannot be determined. The scrape then discards all of the collector's families,
    /// and counts the error in `metrics_core_internal_errors_total{kind="collector_error"}`.
    fn collect(&self, visitor: &mut dyn Visitor) -> Result<(), Box<dyn StdError + Send + Sync>>;
}

/// Identifies a registered collector, so that it can be unregistered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectorId(u64);

/// The collectors of a registry.
#[derive(Default)]
pub(crate) struct Collectors {
    last: u64,
    by_id: BTreeMap<CollectorId, RegisteredCollector>,
}

#[derive(Clone)]
struct RegisteredCollector {
    names: Vec<String>,
    source: CollectorSource,
    runs: Runs<Collected>,
}

/// The implementation of a collector.
#[derive(Clone)]
enum CollectorSource {
    Own(Arc<dyn Collect>),
    Prometheus(Arc<dyn Collector>),
    /// The default registry of the `prometheus` crate, which is gathered as a whole.
    DefaultRegistry,
}

impl Collectors {
    pub(crate) fn describes(&self, name: &str) -> bool {
        self.by_id.values().any(|entry| entry.names.iter().any(|described| described == name))
    }
}

impl Registry {
    /// Registers a `prometheus` collector: one of that crate's metrics, or a custom collector.
    ///
    /// No lock is held while the collector runs. If the collector panics or exceeds the scrape's timeout, the scrape
    /// skips the collector's families and counts the failure in `metrics_core_internal_errors_total`.
    ///
    /// # Errors
    ///
    /// Returns an error if a name that the collector describes is invalid or already registered.
    ///
    /// # Example: a metric of the `prometheus` crate
    ///
    /// ```
    /// use metrics_core::{Registry, prometheus};
    ///
    /// let registry = Registry::new();
    /// let jobs = prometheus::IntCounter::new("jobs_total", "Jobs done.")?;
    /// registry.register_prometheus_collector(Box::new(jobs.clone()))?;
    /// jobs.inc();
    /// assert!(registry.to_text().ends_with("jobs_total 1\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn register_prometheus_collector(&self, collector: Box<dyn Collector>) -> Result<CollectorId, Error> {
        let names = collector.desc().iter().map(|desc| desc.fq_name.clone()).collect();
        self.register_source(names, CollectorSource::Prometheus(Arc::from(collector)))
    }

    /// Registers a collector and isolates it as [`Registry::register_prometheus_collector`] does.
    ///
    /// Only this crate's scrapes include the collector's families. [`prometheus::gather`] holds a lock while it runs,
    /// so it omits the families of collectors in the global registry.
    ///
    /// # Errors
    ///
    /// Returns an error if one of the collector's names is invalid or already registered.
    pub fn register_collector(&self, collector: impl Collect) -> Result<CollectorId, Error> {
        self.register_source(collector.names(), CollectorSource::Own(Arc::new(collector)))
    }

    fn register_source(&self, names: Vec<String>, source: CollectorSource) -> Result<CollectorId, Error> {
        let mut state = self.write();
        for name in &names {
            if !labels::is_metric_name(name) {
                return Err(Error::InvalidName { name: name.clone() });
            }
            let owner = match state.members.clash(name, Kind::Untyped) {
                Some(owner) => owner,
                None if state.collectors.describes(name) => Owner::Collector,
                None => continue,
            };
            return Err(Error::Collector { name: name.clone(), owner });
        }
        let collectors = &mut state.collectors;
        collectors.last += 1;
        let id = CollectorId(collectors.last);
        collectors.by_id.insert(id, RegisteredCollector { names, source, runs: Runs::default() });
        Ok(id)
    }

    /// Returns true if a collector reports a family of this name.
    #[cfg(feature = "exposition")]
    pub(crate) fn is_collected(&self, name: &str) -> bool {
        self.read().collectors.describes(name)
    }

    /// Removes a collector from the registry. Returns false if the collector is not registered.
    pub fn unregister_collector(&self, id: CollectorId) -> bool {
        let removed = self.write().collectors.by_id.remove(&id);
        // The collector is dropped after the lock is released, because dropping it runs user code.
        removed.is_some()
    }

    /// Joins or starts a run of every collector and, in the global registry, of the `prometheus` crate's default
    /// registry. Returns no runs if one of these collectors started this scrape, because that collector would otherwise
    /// wait for itself.
    pub(crate) fn start_collectors(
        &self,
        timeout: Duration,
        waiter: &Arc<Waiter>,
    ) -> Vec<(String, Option<PendingRun<Collected>>)> {
        let Some(context) = ScrapeContext::for_collectors_of(self, timeout) else { return Vec::new() };
        let mut entries: Vec<RegisteredCollector> = self.read().collectors.by_id.values().cloned().collect();
        if self.inner.is_global {
            entries.push(RegisteredCollector {
                names: Vec::new(),
                source: CollectorSource::DefaultRegistry,
                runs: self.inner.default_runs.clone(),
            });
        }
        entries.into_iter().map(|entry| entry.join_or_start(&context, waiter)).collect()
    }
}

impl RegisteredCollector {
    /// Returns the collector's name and the run to wait for; see [`Runs::join_or_start`].
    fn join_or_start(self, context: &ScrapeContext, waiter: &Arc<Waiter>) -> (String, Option<PendingRun<Collected>>) {
        let name = self.name();
        let (source, by) = (self.source, name.clone());
        let pending = self.runs.join_or_start(&name, context, waiter, move || source.collect(&by));
        (name, pending)
    }

    /// Returns the collector's name for messages.
    fn name(&self) -> String {
        match (&self.source, self.names.first()) {
            (CollectorSource::DefaultRegistry, _) => "the `prometheus` registry".to_owned(),
            (_, Some(name)) => format!("the collector of {name}"),
            (_, None) => "a collector".to_owned(),
        }
    }
}

impl CollectorSource {
    fn collect(&self, by: &str) -> Option<Collected> {
        let families = match self {
            Self::Own(collector) => isolated(by, || record(&**collector, by)).flatten(),
            Self::Prometheus(collector) => isolated(by, || CollectedFamily::all_of(collector.collect())),
            Self::DefaultRegistry => isolated(by, || CollectedFamily::all_of(context::gather_default())),
        };
        let families = families?.into_iter().filter(|shown| !shown.is_empty());
        let checked = families.map(|shown| {
            let reason = shown.check().err().map(Arc::new);
            (shown, reason)
        });
        Some(Collected { by: by.to_owned(), families: checked.collect() })
    }
}

fn record(collector: &dyn Collect, by: &str) -> Option<Vec<CollectedFamily>> {
    let mut recorder = Recorder::default();
    match collector.collect(&mut recorder) {
        Ok(()) => Some(recorder.families().into_iter().map(CollectedFamily::Own).collect()),
        Err(error) => {
            InternalError::CollectorError.record_cause(&by, &error);
            None
        }
    }
}

/// Runs user code, catching and counting a panic.
pub(crate) fn isolated<R>(what: &str, f: impl FnOnce() -> R) -> Option<R> {
    let result = guarded(f);
    if result.is_none() {
        InternalError::CollectorPanic.record(&what);
    }
    result
}

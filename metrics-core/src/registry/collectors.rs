//! Collectors, of ours and of the `prometheus` crate, each on its own: one that fails, panics or is slow costs its own
//! families only.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;

use super::Registry;
use super::bridge::Collecting;
use super::recorded::{Recorded, Recorder};
use crate::error::Error;
use crate::internal::InternalError;
use crate::labels;
use crate::sample::{Kind, Visitor};

/// How long a scrape waits for collectors, unless it says otherwise.
pub(super) const DEFAULT_PATIENCE: Duration = Duration::from_secs(5);

/// Shows families that are made at each scrape, from something that counts by itself: a pool, a cache, the system.
///
/// # Example: a pool of connections
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
///         visitor.family(&FamilyInfo::new("pool_connections", "Connections of the pool.", Kind::Gauge));
///         visitor.series(Labels::of(&[("state", "idle")]).borrow(), &Value::Gauge(3.0));
///         Ok(())
///     }
/// }
///
/// let registry = Registry::new();
/// registry.register_collect(Pool)?;
/// assert!(registry.to_text().ends_with("pool_connections{state=\"idle\"} 3\n"));
/// # Ok::<(), metrics_core::Error>(())
/// ```
pub trait Collect: Send + Sync + 'static {
    /// The names of all families that it can show.
    fn names(&self) -> Vec<String>;

    /// Shows the families as they are now.
    ///
    /// # Errors
    ///
    /// Where it cannot tell; nothing that it has shown is then exported, and it counts in
    /// `metrics_core_internal_errors_total{kind="collector_error"}`.
    fn collect(&self, visitor: &mut dyn Visitor) -> Result<(), Box<dyn StdError + Send + Sync>>;
}

/// Names a registered collector, to unregister it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectorId(u64);

/// The collectors of a registry.
#[derive(Default)]
pub(super) struct Collectors {
    last: u64,
    by_id: BTreeMap<CollectorId, Entry>,
}

#[derive(Clone)]
struct Entry {
    names: Vec<String>,
    source: Source,
    overdue: Overdue,
}

/// How many runs of a collector have not come back although their scrape's time is over.
pub(super) type Overdue = Arc<AtomicUsize>;

/// What collects.
#[derive(Clone)]
enum Source {
    Own(Arc<dyn Collect>),
    Prometheus(Arc<dyn Collector>),
    /// The default registry of the `prometheus` crate, which is one unit.
    DefaultRegistry,
}

/// What a collector has shown.
pub(super) enum Collected {
    Own(Vec<Recorded>),
    Prometheus(Vec<MetricFamily>),
}

impl Collectors {
    pub(super) fn describes(&self, name: &str) -> bool {
        self.by_id.values().any(|entry| entry.names.iter().any(|described| described == name))
    }
}

impl Registry {
    /// Adds a collector of the `prometheus` crate: any of its metrics, or one of your own.
    ///
    /// No lock is held while it collects. If it panics, or is not done when the scrape's time is over, its families are
    /// left out of that scrape, and it counts in `metrics_core_internal_errors_total`.
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
        let names = collector.desc().iter().map(|desc| desc.fq_name.clone()).collect();
        self.register_source(names, Source::Prometheus(Arc::from(collector)))
    }

    /// Adds a collector, which is isolated as those of [`Registry::register_collector`] are.
    ///
    /// # Errors
    ///
    /// Where a name of it is invalid or belongs to something registered before.
    pub fn register_collect(&self, collector: impl Collect) -> Result<CollectorId, Error> {
        self.register_source(collector.names(), Source::Own(Arc::new(collector)))
    }

    fn register_source(&self, names: Vec<String>, source: Source) -> Result<CollectorId, Error> {
        let mut state = self.write();
        for name in &names {
            if !labels::is_metric_name(name) {
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
        collectors.by_id.insert(id, Entry { names, source, overdue: Overdue::default() });
        Ok(id)
    }

    /// Takes a collector out of the registry; false if it is not there.
    pub fn unregister_collector(&self, id: CollectorId) -> bool {
        let removed = self.write().collectors.by_id.remove(&id);
        // Dropped after the lock is given back: it is user code.
        removed.is_some()
    }

    /// What all collectors show now, and the default registry of the `prometheus` crate if this is the global one.
    ///
    /// Each runs on a thread of its own; those that are not done in time are left behind.
    pub(super) fn collect_foreign(&self, patience: Duration) -> Vec<Collected> {
        let mut entries: Vec<Entry> = self.read().collectors.by_id.values().cloned().collect();
        if self.inner.is_global {
            entries.push(Entry {
                names: vec!["the `prometheus` registry".to_owned()],
                source: Source::DefaultRegistry,
                overdue: Arc::clone(&self.inner.default_overdue),
            });
        }
        let busy = Collecting::also_for(self);
        let deadline = Instant::now() + patience;
        let running: Vec<_> = entries.into_iter().filter_map(|entry| entry.start(&busy)).collect();
        running.into_iter().filter_map(|running| running.finish(deadline)).collect()
    }
}

/// A collector that runs.
struct Running {
    name: String,
    collected: mpsc::Receiver<Option<Collected>>,
    overdue: Overdue,
    /// Set by the first of the two: the collector when it comes back, the scrape when it gives up.
    ended: Arc<AtomicBool>,
}

impl Entry {
    /// Starts it on a thread; `None` if a run of an earlier scrape is overdue, so that threads do not pile up.
    fn start(self, busy: &Collecting) -> Option<Running> {
        let name = self.names.first().cloned().unwrap_or_else(|| "a collector".to_owned());
        if self.overdue.load(Ordering::Acquire) > 0 {
            InternalError::CollectorTimeout.record(&name);
            return None;
        }
        let (done, collected) = mpsc::channel();
        let busy = busy.clone();
        let (ended, overdue) = (Arc::new(AtomicBool::new(false)), Arc::clone(&self.overdue));
        let running = Running { name, collected, overdue, ended: Arc::clone(&ended) };
        let run = move || {
            let collected =
                busy.during(|| self.source.collect(self.names.first().map_or("a collector", String::as_str)));
            if ended.swap(true, Ordering::AcqRel) {
                self.overdue.fetch_sub(1, Ordering::AcqRel);
            }
            // Nobody listens any more if it took too long.
            let _ = done.send(collected);
        };
        match thread::Builder::new().name("metrics-collector".to_owned()).spawn(run) {
            Ok(_) => Some(running),
            Err(error) => {
                log::error!("cannot start a thread for the collector of {}: {error}", running.name);
                None
            }
        }
    }
}

impl Running {
    fn finish(self, deadline: Instant) -> Option<Collected> {
        match self.collected.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(collected) => collected,
            Err(_) => {
                self.overdue.fetch_add(1, Ordering::AcqRel);
                if self.ended.swap(true, Ordering::AcqRel) {
                    // It has come back just now.
                    self.overdue.fetch_sub(1, Ordering::AcqRel);
                }
                InternalError::CollectorTimeout.record(&self.name);
                None
            }
        }
    }
}

impl Source {
    fn collect(&self, name: &str) -> Option<Collected> {
        match self {
            Self::Own(collector) => isolated(name, || {
                let mut recorder = Recorder::default();
                match collector.collect(&mut recorder) {
                    Ok(()) => Some(Collected::Own(recorder.families())),
                    Err(error) => {
                        InternalError::CollectorError.record(&format_args!("{name}: {error}"));
                        None
                    }
                }
            })
            .flatten(),
            Self::Prometheus(collector) => isolated(name, || Collected::Prometheus(collector.collect())),
            Self::DefaultRegistry => isolated(name, || Collected::Prometheus(super::bridge::gather_default())),
        }
    }
}

/// Runs user code; a panic is counted, and ends here.
pub(super) fn isolated<R>(what: &str, f: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(f)).inspect_err(|_| InternalError::CollectorPanic.record(&what)).ok()
}

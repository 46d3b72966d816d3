//! The registry: a set of families that are scraped together.

pub(crate) mod bridge;
mod catalog;
mod check;
pub(crate) mod collect;
pub(crate) mod declared;
#[cfg(feature = "exposition")]
pub(crate) mod groups;
mod latency;
mod members;
mod problem;
mod register;
pub(crate) mod scrape;
mod shown;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use lazy_static::lazy_static;
use log::Level;

pub use catalog::{DeclaredFamily, DeclaredLabel};
pub use collect::{Collect, CollectorId};
pub use problem::{Problem, ProblemKind};

use crate::error::Error;
use crate::exposure::EXPOSURE;
use crate::kind::Kind;
use crate::logging::log;
use crate::{clock, labels};
use collect::Collectors;
use collect::runs::Runs;
use declared::UserCode;
use members::Members;
use problem::Problems;

/// A set of families that are scraped together.
///
/// Most programs need only [`Registry::global`], which `register()` and annotated functions use. Clones refer to the
/// same registry.
///
/// A registry is also a collector for the `prometheus` crate. The global registry is connected to that crate
/// automatically: [`prometheus::gather`] includes its families, and its scrapes include
/// [`prometheus::default_registry`].
///
/// # Example: a custom registry
///
/// ```
/// use metrics_core::{Counter, Registry};
///
/// let registry = Registry::new();
/// let jobs = Counter::builder("jobs_total", "Jobs done.").register_in(&registry)?;
/// jobs.inc();
/// assert_eq!(registry.to_text(), "# HELP jobs_total Jobs done.\n# TYPE jobs_total counter\njobs_total 1\n");
/// # Ok::<(), metrics_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

/// A reference that does not keep a registry alive.
#[cfg(feature = "exposition")]
#[derive(Debug)]
pub(crate) struct WeakRegistry(std::sync::Weak<Inner>);

#[cfg(feature = "exposition")]
impl WeakRegistry {
    pub(crate) fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }
}

pub(crate) struct Inner {
    const_labels: Vec<(String, String)>,
    is_global: bool,
    /// True if OpenMetrics output includes `_created` samples.
    exports_created: AtomicBool,
    state: RwLock<RegistryState>,
    /// Runs that gather the `prometheus` crate's default registry.
    default_runs: Runs<shown::Collected>,
    /// The description that identifies this registry in the `prometheus` crate.
    desc: prometheus::core::Desc,
}

#[derive(Default)]
struct RegistryState {
    members: Members,
    collectors: Collectors,
    problems: Problems,
}

lazy_static! {
    static ref GLOBAL: Registry = Registry::with_inner(Vec::new(), true);
}

impl Registry {
    /// Returns the registry that `register()` and annotated functions use.
    ///
    /// Its scrapes include [`prometheus::default_registry`], and [`prometheus::gather`] includes its families.
    #[must_use]
    pub fn global() -> &'static Self {
        let global: &'static Self = &GLOBAL;
        bridge::install(global, UserCode::Due);
        global
    }

    /// Creates an empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::with_inner(Vec::new(), false)
    }

    /// Creates a registry that adds these constant labels to all families registered in it.
    ///
    /// The labels are not added to families from collectors.
    ///
    /// # Errors
    ///
    /// Returns an error if a label name is invalid, reserved or given twice.
    pub fn with_const_labels<const N: usize>(const_labels: [(&str, &str); N]) -> Result<Self, Error> {
        labels::check_names("the registry", Kind::Untyped, &const_labels.iter().map(|(name, _)| *name))?;
        let owned = const_labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(Self::with_inner(owned.into(), false))
    }

    fn with_inner(const_labels: Vec<(String, String)>, is_global: bool) -> Self {
        let state = RwLock::default();
        let desc = bridge::desc(is_global);
        let default_runs = Runs::default();
        let exports_created = AtomicBool::new(false);
        let inner = Inner { const_labels, is_global, exports_created, state, default_runs, desc };
        let registry = Self { inner: Arc::new(inner) };
        if is_global {
            // The clock is initialized here so that no measured call has to initialize it.
            clock::init();
            registry.write().members.reserve(scrape::own_families::OWN_FAMILIES);
        }
        registry
    }

    /// Enables or disables `_created` samples of counters, summaries and histograms in OpenMetrics output. Such a
    /// sample is the Unix time in seconds at which the series was created, rounded down by at most a tenth of a second.
    ///
    /// They are disabled by default, because each one is an additional series. Prometheus uses them if it runs with
    /// `--enable-feature=created-timestamp-zero-ingestion`. Protobuf output always contains the creation times, without
    /// additional series. Series from collectors and callbacks, the library's own series (`metrics_core_*`), and
    /// counters of type `unknown` have none.
    ///
    /// # Example: creation times
    ///
    /// ```
    /// use metrics_core::{Counter, Format, Registry};
    ///
    /// let registry = Registry::new();
    /// Counter::builder("jobs_total", "Jobs done.").register_in(&registry)?;
    /// registry.export_created(true);
    /// let mut out = Vec::new();
    /// registry.encode(Format::OpenMetrics, &mut out);
    /// assert!(String::from_utf8_lossy(&out).contains("\njobs_created 1"));
    /// # Ok::<(), metrics_core::Error>(())
    /// ```
    pub fn export_created(&self, export: bool) {
        self.inner.exports_created.store(export, Ordering::Relaxed);
    }

    /// Prepares the registry for an exporter. For the global registry, initializes all declarations that the linker has
    /// collected. Doing so runs user code, so the caller must not hold a lock.
    #[cfg_attr(
        not(any(feature = "exposition", feature = "push")),
        allow(dead_code, reason = "only exporters use it, and they are optional")
    )]
    pub(crate) fn initialize(&self, user_code: UserCode) {
        EXPOSURE.begin();
        declared::initialize(self.inner.is_global, user_code);
    }

    /// Returns true for [`Registry::global`].
    #[cfg_attr(not(feature = "testing"), allow(dead_code, reason = "only the test helpers use it"))]
    pub(crate) fn is_global(&self) -> bool {
        self.inner.is_global
    }

    /// Returns a reference that does not keep the registry alive.
    #[cfg(feature = "exposition")]
    pub(crate) fn downgrade(&self) -> WeakRegistry {
        WeakRegistry(Arc::downgrade(&self.inner))
    }

    /// Returns the unique ID of this registry.
    #[cfg_attr(not(feature = "exposition"), allow(dead_code, reason = "only the feature `exposition` uses it"))]
    pub(crate) fn id(&self) -> u64 {
        self.inner.desc.id
    }

    /// Adds a problem with a family, unless another declaration of the family has already reported the same problem.
    pub(crate) fn add_problem_of_family(&self, problem: Problem) {
        let is_known = self.read().problems.has_elsewhere(&problem);
        if !is_known {
            self.add_problem(problem);
        }
    }

    /// Adds a problem, and logs it if it is new.
    pub(crate) fn add_problem(&self, problem: Problem) {
        let message = problem.to_string();
        if self.write().problems.add(problem) {
            log(Level::Error, format_args!("{message}"));
        }
    }

    #[cfg(test)]
    pub(crate) fn hold_lock(&self) -> impl Sized {
        self.write()
    }

    fn read(&self) -> RwLockReadGuard<'_, RegistryState> {
        self.inner.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, RegistryState> {
        self.inner.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Initializes all annotated functions and global structs, so that their known series are exported at 0 from the start.
///
/// Evaluates the label value lists and families that are passed to `#[instrument]`, on the calling thread. Every
/// exporter does the same when it is created: [`start_http_server`](crate::start_http_server), `Exposition`, and
/// pushers. Scrapes never evaluate your expressions, so call this function yourself if something else exposes your
/// metrics, such as [`prometheus::gather`] or [`Registry::to_text`]. If an expression panics, it is evaluated again by
/// the next call to `init`, by the next exporter that is created, by [`Registry::check`], or by the next call to the
/// annotated function. With `panic = "abort"`, only the first call to an annotated function evaluates its expressions.
///
/// If this crate is part of a Rust `dylib` (`crate-type = ["dylib"]`), the linker collects only the declarations in
/// that library. Series of annotated functions in the program itself and in other libraries are then exported only
/// after the first call to the function.
///
/// This function also connects the global registry to the `prometheus` crate's default registry. From then on,
/// [`prometheus::gather`] includes the families of the global registry.
///
/// # Example: exposing through the registry of the `prometheus` crate
///
/// ```
/// metrics_core::init();
/// let gathered = metrics_core::prometheus::gather();
/// assert!(gathered.iter().any(|family| family.name() == "metrics_core_problems"));
/// ```
pub fn init() {
    EXPOSURE.begin();
    bridge::install(&GLOBAL, UserCode::Now);
    declared::initialize(true, UserCode::Now);
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let families: Vec<String> = self.read().members.names().map(str::to_owned).collect();
        f.debug_struct("Registry").field("families", &families).finish_non_exhaustive()
    }
}

//! The registry: the set of families that is scraped together.

pub(crate) mod bridge;
mod catalog;
mod check;
pub(crate) mod collect;
pub(crate) mod declared;
mod members;
mod problem;
mod register;
pub(crate) mod scrape;
mod shown;

use std::fmt;
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

/// A set of families that is scraped together.
///
/// Most programs need [`Registry::global`] only, to which `register()` adds. Cloning a registry gives the same one.
///
/// A registry is also a collector of the `prometheus` crate. The global one needs no registering there: it shows in
/// [`prometheus::gather`] by itself, and what is registered there shows in it.
///
/// # Example: a registry of one's own
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

pub(crate) struct Inner {
    const_labels: Vec<(String, String)>,
    is_global: bool,
    state: RwLock<RegistryState>,
    /// Runs of the default registry of the `prometheus` crate.
    default_runs: Runs<shown::Collected>,
    /// What the `prometheus` crate knows this registry by.
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
    /// The registry that `register()` and annotated functions use.
    ///
    /// It also holds what is in [`prometheus::default_registry`], and is part of [`prometheus::gather`].
    #[must_use]
    pub fn global() -> &'static Self {
        let global: &'static Self = &GLOBAL;
        bridge::install(global);
        global
    }

    /// A registry with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::with_inner(Vec::new(), false)
    }

    /// A registry in which all families are registered with these constant labels; what collectors show is left as it
    /// is.
    ///
    /// # Errors
    ///
    /// Where a label name is invalid, reserved or given twice.
    pub fn with_const_labels<const N: usize>(const_labels: [(&str, &str); N]) -> Result<Self, Error> {
        labels::check_names("the registry", Kind::Untyped, &const_labels.iter().map(|(name, _)| *name))?;
        let owned = const_labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(Self::with_inner(owned.into(), false))
    }

    fn with_inner(const_labels: Vec<(String, String)>, is_global: bool) -> Self {
        let state = RwLock::default();
        let desc = bridge::desc(is_global);
        let default_runs = Runs::default();
        let registry = Self { inner: Arc::new(Inner { const_labels, is_global, state, default_runs, desc }) };
        if is_global {
            // Here, so that no call has to.
            clock::init();
            registry.write().members.reserve(scrape::own_families::OWN_FAMILIES);
        }
        registry
    }

    /// Prepares the registry for something that exposes it: initializes everything that the linker has collected, if this is
    /// the global registry. This evaluates user code, so no lock may be held.
    #[cfg_attr(
        not(any(feature = "exposition", feature = "push")),
        allow(dead_code, reason = "what exposes is a feature")
    )]
    pub(crate) fn initialize(&self, user_code: UserCode) {
        EXPOSURE.begin();
        declared::initialize(self.inner.is_global, user_code);
    }

    /// Returns true for [`Registry::global`].
    #[cfg_attr(not(feature = "testing"), allow(dead_code, reason = "only the helpers for tests use it"))]
    pub(crate) fn is_global(&self) -> bool {
        self.inner.is_global
    }

    /// Tells registries apart; no two have the same while both live.
    #[cfg_attr(not(feature = "exposition"), allow(dead_code, reason = "what asks for it is a feature"))]
    pub(crate) fn id(&self) -> u64 {
        self.inner.desc.id
    }

    /// Adds a problem of a family, unless another declaration of the family has reported it.
    pub(crate) fn add_problem_of_family(&self, problem: Problem) {
        let is_known = self.read().problems.has_elsewhere(&problem);
        if !is_known {
            self.add_problem(problem);
        }
    }

    /// Adds a problem that annotated functions found.
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

/// Initializes all annotated functions and derived structs, so that their known series are exported at 0 before their first
/// use.
///
/// This evaluates lists of label values and families that `#[instrument]` was given, on the calling thread. Everything that
/// exposes does the same when it is created: [`start_http_server`](crate::start_http_server), `Exposition`, pushers. So call
/// it yourself only if something else exposes your metrics, such as [`prometheus::gather`] or
/// [`Registry::to_text`]: a scrape never evaluates your expressions. If one panics, it is evaluated again by the next of these
/// calls, by [`Registry::check`], or when the function is called. With `panic = "abort"`, only the first call of a function
/// evaluates its expressions.
///
/// If this crate is part of a Rust `dylib` (`crate-type = ["dylib"]`), the linker lists the declarations of that library only.
/// Annotated functions of the program itself, and of other libraries, are then exported from their first call on.
///
/// It also connects the two registries: from now on, [`prometheus::gather`] contains our families.
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
    let _ = Registry::global();
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

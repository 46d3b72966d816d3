//! Declarations that the linker collects, so that their series are exported at 0 before their first use.
//!
//! The linker assembles a list of the statics that `#[instrument]` and `#[metrics(global)]` define. `init()`,
//! `check()`, `catalog()` and all exporters initialize the entries that are still uninitialized. A scrape initializes
//! only entries that need no user code. On Linux, the list consists of two dedicated linker sections. On other
//! platforms, `linkme` collects the list if it supports the platform; otherwise, the list is empty.

#[cfg(any(
    target_os = "android",
    target_os = "freebsd",
    target_os = "fuchsia",
    target_os = "illumos",
    target_os = "ios",
    target_os = "macos",
    target_os = "openbsd",
    target_os = "tvos",
    target_os = "windows",
))]
#[path = "declared/linkme.rs"]
pub mod linked;

#[cfg(target_os = "linux")]
#[path = "declared/section.rs"]
pub mod linked;

#[cfg(not(any(
    target_os = "android",
    target_os = "freebsd",
    target_os = "fuchsia",
    target_os = "illumos",
    target_os = "ios",
    target_os = "linux",
    target_os = "macos",
    target_os = "openbsd",
    target_os = "tvos",
    target_os = "windows",
)))]
#[path = "declared/nothing.rs"]
pub mod linked;

use std::panic::Location;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::problem::Problem;
use linked::declared;

/// A static declaration that can initialize itself.
pub trait Declared: Sync {
    /// Registers the declaration's families and creates their known series, unless this has already been done.
    ///
    /// Evaluates only the user expressions that `user_code` allows. If an expression panics, the declaration stays
    /// uninitialized, and a later call tries again.
    fn initialize(&self, user_code: UserCode);

    /// Returns true if [`Declared::initialize`] has nothing left to do under `UserCode::Never`.
    fn is_ready_for_scrape(&self) -> bool;

    /// Returns the problem that keeps the declaration uninitialized, if an expression has panicked.
    fn problem(&self) -> Option<Problem>;

    /// Returns the options that the declaration sets for its default latency family, if any. Runs no user code.
    fn latency_request(&self) -> Option<LatencyRequest> {
        None
    }
}

/// The options that an annotated function sets for its default latency family.
#[derive(Debug)]
pub struct LatencyRequest {
    /// The name of the family.
    pub(crate) family: String,
    pub(crate) options: LatencyOptions,
    pub(crate) location: &'static Location<'static>,
}

/// The options that determine the type of a default latency family.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LatencyOptions {
    /// True if the family is a histogram with native buckets.
    pub(crate) histogram: bool,
    /// The bounds of the classic buckets, which make the family a histogram.
    pub(crate) buckets: Option<&'static [f64]>,
    pub(crate) quantiles: Option<&'static [f64]>,
}

impl LatencyOptions {
    /// Returns true if no option is set.
    pub(crate) fn is_default(&self) -> bool {
        !self.histogram && self.buckets.is_none() && self.quantiles.is_none()
    }
}

/// The user expressions that initialization may evaluate: label value lists, families, and fields of derived structs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserCode {
    /// No expressions. Scrapes run on the library's threads or under a lock of the `prometheus` crate. User code could
    /// panic or deadlock there, or poison a `LazyLock` whose initializer needs one of the service's own threads.
    Never,
    /// Expressions whose number of evaluation requests is a power of two or a multiple of 1,000, so that an expression
    /// that always panics costs little.
    Due,
    /// All expressions.
    Now,
}

/// Counts the requests to evaluate an expression that may panic.
#[derive(Debug, Default)]
pub(crate) struct Attempts(AtomicU32);

impl Attempts {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Returns true if the expression may be evaluated now.
    pub(crate) fn allow(&self, user_code: UserCode) -> bool {
        match user_code {
            UserCode::Never => false,
            UserCode::Due => {
                let request = self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
                request.is_power_of_two() || request.is_multiple_of(1_000)
            }
            UserCode::Now => true,
        }
    }
}

/// A reference to a declaration: an entry in the linker's list.
pub type DeclaredRef = &'static dyn Declared;

/// Returns the options that annotated functions set for the default latency family with this name, in the order of the
/// list.
pub(crate) fn latency_requests(family: &str) -> impl Iterator<Item = &'static LatencyRequest> {
    /// The requests for all families. Each function's registration reads them, so the time to register all functions
    /// would otherwise grow with the square of their number.
    static REQUESTS: OnceLock<Vec<LatencyRequest>> = OnceLock::new();
    // Not collected by `get_or_init`, whose lock an allocator that calls an annotated function would take twice.
    let requests = REQUESTS.get().unwrap_or_else(|| {
        let collected = declared().filter_map(Declared::latency_request).collect();
        REQUESTS.get_or_init(|| collected)
    });
    requests.iter().filter(move |request| request.family == family)
}

/// Returns true if a scrape has nothing left to initialize.
pub(crate) fn is_ready_for_scrape() -> bool {
    declared().all(Declared::is_ready_for_scrape)
}

/// Prepares a scrape of the global registry by initializing the declarations that need no user code.
pub(crate) fn initialize_for_scrape(of_global: bool) {
    initialize_all(of_global, UserCode::Never);
}

/// Initializes all declarations of the global registry. This runs user code, so the caller must not hold a lock.
///
/// Programs built with `panic = "abort"` cannot catch a panic. In such programs, only the first call to an annotated
/// function evaluates its expressions.
pub(crate) fn initialize(of_global: bool, user_code: UserCode) {
    initialize_all(of_global, if cfg!(panic = "abort") { UserCode::Never } else { user_code });
}

fn initialize_all(of_global: bool, user_code: UserCode) {
    if of_global {
        for declaration in declared() {
            declaration.initialize(user_code);
        }
    }
}

/// Returns the problems that keep declarations uninitialized.
pub(crate) fn problems(of_global: bool) -> Vec<Problem> {
    if of_global { declared().filter_map(Declared::problem).collect() } else { Vec::new() }
}

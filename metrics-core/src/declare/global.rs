//! `#[metrics(global)]`: a struct in the global registry that is declared on first use.

use std::any::type_name;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{MetricGroup, Scope};
use crate::internal::InternalError;
use crate::registry::declared::{Attempts, Declared, UserCode};
use crate::registry::{Problem, ProblemKind, Registry};

/// A struct that is registered in the global registry on first use, by [`init`](crate::init), or by an exporter.
#[doc(hidden)]
pub struct Global<G> {
    group: OnceLock<G>,
    attempts: Attempts,
    has_panicked: AtomicBool,
}

impl<G: MetricGroup> Global<G> {
    #[must_use]
    pub const fn new() -> Self {
        Self { group: OnceLock::new(), attempts: Attempts::new(), has_panicked: AtomicBool::new(false) }
    }

    pub fn get(&self) -> &G {
        self.group.get().unwrap_or_else(|| self.declare())
    }

    /// Declares the struct without holding a lock. Threads that declare it concurrently get the same families.
    #[cold]
    fn declare(&self) -> &G {
        let mut scope = Scope::new(Registry::global(), true);
        let declared = G::declare(&mut scope);
        let group = self.group.get_or_init(|| declared);
        scope.report();
        group
    }
}

impl<G: MetricGroup> Default for Global<G> {
    fn default() -> Self {
        Self::new()
    }
}

impl<G: MetricGroup + Send + Sync> Declared for Global<G> {
    fn initialize(&self, user_code: UserCode) {
        if self.group.get().is_some() || !self.attempts.allow(user_code) {
            return;
        }
        let has_panicked = catch_unwind(AssertUnwindSafe(|| _ = self.get())).is_err();
        self.has_panicked.store(has_panicked, Ordering::Relaxed);
        if has_panicked {
            InternalError::CollectorPanic.record(&type_name::<G>());
        }
    }

    fn is_ready_for_scrape(&self) -> bool {
        // Fields may have custom types, so declaring the struct runs user code, which a scrape must not do.
        true
    }

    fn problem(&self) -> Option<Problem> {
        let is_missing = self.group.get().is_none() && self.has_panicked.load(Ordering::Relaxed);
        is_missing.then(|| Problem {
            kind: ProblemKind::Declaration,
            family: type_name::<G>().to_owned(),
            message: format!("declaring {} panicked; its metrics are exported once that succeeds", type_name::<G>()),
            location: None,
        })
    }
}

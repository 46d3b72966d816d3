//! `#[metrics(global)]`: a struct in the global registry that is declared when it is first needed.

use std::any::type_name;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{MetricGroup, Scope};
use crate::internal::InternalError;
use crate::registry::declared::{Attempts, Declared, UserCode};
use crate::registry::{Problem, ProblemKind, Registry};

/// A struct that is registered globally at its first use, or by [`init`](crate::init) and everything that exposes.
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

    /// No lock is held while user code runs. Threads that do this at once all get the families of the first.
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
        // The fields may be types of the user.
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

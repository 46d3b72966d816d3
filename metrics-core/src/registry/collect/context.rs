//! The scrape that the current thread is collecting for: its enclosing registries and its remaining time.
//!
//! Registries can contain each other, and a callback can scrape its own registry. The context is passed to each
//! collector and callback, so that each registry is visited only once and a callback never invokes itself.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use prometheus::proto::MetricFamily;

use crate::registry::Registry;

/// The default limit on the time that a scrape waits for collectors.
pub(crate) const DEFAULT_COLLECT_TIMEOUT: Duration = Duration::from_secs(5);

thread_local! {
    /// True while this thread is gathering the default registry for one of this crate's scrapes.
    static GATHERING: Cell<bool> = const { Cell::new(false) };
    /// The scrape that this thread is collecting for.
    static COLLECTING: RefCell<Option<ScrapeContext>> = const { RefCell::new(None) };
}

/// The scrape that a thread is collecting for.
#[derive(Clone)]
pub(crate) struct ScrapeContext {
    /// The nested registries, outermost first, identified by their description IDs.
    registries: Vec<u64>,
    /// The registries whose callbacks are running.
    callback_registries: Vec<u64>,
    /// The registries whose collectors are running.
    collector_registries: Vec<u64>,
    /// The time at which the scrape of the innermost registry began to wait.
    since: Instant,
    /// The maximum time that this scrape waits.
    timeout: Duration,
}

impl ScrapeContext {
    /// Returns the scrape that this thread is collecting for, if any.
    pub(crate) fn current() -> Option<Self> {
        // The context may already be destroyed in a thread-local destructor, where no scrape is in progress.
        COLLECTING.try_with(|context| context.borrow().clone()).ok().flatten()
    }

    /// Returns the context of a scrape of `registry`, nested in the scrape that this thread is collecting for.
    pub(crate) fn nested(registry: &Registry, timeout: Duration) -> Self {
        let since = Instant::now();
        let mut context = match Self::current() {
            Some(outer) => Self { since, timeout, ..outer },
            None => Self {
                registries: Vec::new(),
                callback_registries: Vec::new(),
                collector_registries: Vec::new(),
                since,
                timeout,
            },
        };
        context.registries.push(registry.inner.desc.id);
        context
    }

    /// Returns the context for the callbacks of `registry`, or `None` if one of these callbacks started this scrape.
    pub(crate) fn for_callbacks_of(registry: &Registry, timeout: Duration) -> Option<Self> {
        let mut context = Self::nested(registry, timeout);
        let id = registry.inner.desc.id;
        let is_inside_callback = context.callback_registries.contains(&id);
        context.callback_registries.push(id);
        (!is_inside_callback).then_some(context)
    }

    /// Returns the context for the collectors of `registry`, or `None` if one of these collectors started this scrape.
    pub(crate) fn for_collectors_of(registry: &Registry, timeout: Duration) -> Option<Self> {
        let mut context = Self::nested(registry, timeout);
        let id = registry.inner.desc.id;
        let is_inside_collector = context.collector_registries.contains(&id);
        context.collector_registries.push(id);
        (!is_inside_collector).then_some(context)
    }

    /// Returns true if this scrape or an enclosing scrape is a scrape of `registry`.
    pub(crate) fn is_for(&self, registry: &Registry) -> bool {
        self.registries.contains(&registry.inner.desc.id)
    }

    /// Returns true if this scrape is nested in another scrape.
    pub(crate) fn is_inner(&self) -> bool {
        self.registries.len() > 1
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns how much longer this scrape may wait.
    pub(crate) fn time_left(&self) -> Duration {
        self.timeout.saturating_sub(self.since.elapsed())
    }

    /// Returns the timeout for a nested scrape: 90% of the remaining time, so that its result arrives in time.
    pub(crate) fn inner_timeout(&self) -> Duration {
        let left = self.time_left();
        left.saturating_sub(left / 10)
    }

    /// Runs `f` with this context set for the current thread.
    pub(crate) fn during<R>(self, f: impl FnOnce() -> R) -> R {
        struct Reset(Option<ScrapeContext>);
        impl Drop for Reset {
            fn drop(&mut self) {
                let outer = self.0.take();
                drop(COLLECTING.try_with(|context| context.replace(outer)));
            }
        }
        let _reset = Reset(COLLECTING.try_with(|context| context.replace(Some(self))).ok().flatten());
        f()
    }
}

/// Returns true while this thread is gathering the default registry for one of this crate's scrapes.
pub(crate) fn is_gathering_default() -> bool {
    GATHERING.get()
}

/// Gathers the default registry without this crate's families.
pub(crate) fn gather_default() -> Vec<MetricFamily> {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            GATHERING.set(false);
        }
    }
    GATHERING.set(true);
    let _reset = Reset;
    prometheus::gather()
}

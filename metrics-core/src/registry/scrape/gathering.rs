//! The first phase of a scrape, which runs collectors and callbacks within the scrape's timeout.
//!
//! Each scrape may wait for its full timeout, regardless of other scrapes waiting for the same collectors. Scrapes
//! share runs, but not gatherings.

use std::sync::Arc;
use std::time::Duration;

use crate::internal::InternalError;
use crate::registry::Registry;
use crate::registry::collect::context::ScrapeContext;
use crate::registry::collect::isolated;
use crate::registry::collect::runs::PendingRun;
use crate::registry::collect::waiter::Waiter;
use crate::registry::members::{Callback, Member};
use crate::registry::shown::Collected;
use crate::sample::Value;

/// Collectors and callbacks that have been started and may have finished.
pub(crate) struct Gathering {
    pub(crate) waiter: Arc<Waiter>,
    context: ScrapeContext,
    collectors: Vec<(String, Option<PendingRun<Collected>>)>,
    callbacks: Vec<(Arc<Callback>, Option<PendingRun<Value<'static>>>)>,
}

/// The results of the collectors and callbacks.
pub(crate) struct Found {
    pub(crate) collected: Vec<Arc<Collected>>,
    pub(crate) values: Vec<(Arc<Callback>, Value<'static>)>,
}

impl Gathering {
    /// Starts a registry's callbacks, and also its collectors if `collectors` is true.
    pub(crate) fn begin(registry: &Registry, timeout: Duration, collectors: bool) -> Self {
        let waiter = Waiter::new();
        let context = ScrapeContext::nested(registry, timeout);
        let collectors = if collectors { registry.start_collectors(timeout, &waiter) } else { Vec::new() };
        let callbacks = registry.start_callbacks(timeout, &waiter);
        Self { waiter, context, collectors, callbacks }
    }

    /// Blocks until all results have arrived or the timeout has passed.
    pub(crate) fn wait(self) -> Found {
        self.waiter.wait(self.context.time_left());
        self.found()
    }

    /// Returns the results that have arrived. Missing results are skipped and counted as timeouts.
    pub(crate) fn found(self) -> Found {
        let collected = self.collectors.into_iter().filter_map(|(name, pending)| answer(&name, pending)).collect();
        let value = |(callback, pending): (Arc<Callback>, _)| {
            let value = answer(&callback.core.declaration.name, pending)?;
            Some((callback, *value))
        };
        Found { collected, values: self.callbacks.into_iter().filter_map(value).collect() }
    }
}

fn answer<T>(name: &str, pending: Option<PendingRun<T>>) -> Option<Arc<T>> {
    match pending.map(|pending| pending.result()) {
        Some(Ok(answer)) => answer,
        None | Some(Err(())) => {
            InternalError::CollectorTimeout.record(&name);
            None
        }
    }
}

impl Registry {
    fn start_callbacks(
        &self,
        timeout: Duration,
        waiter: &Arc<Waiter>,
    ) -> Vec<(Arc<Callback>, Option<PendingRun<Value<'static>>>)> {
        // A callback that scrapes its own registry would otherwise invoke itself endlessly.
        let Some(context) = ScrapeContext::for_callbacks_of(self, timeout) else { return Vec::new() };
        let callbacks: Vec<_> = self
            .read()
            .members
            .all()
            .into_iter()
            .filter_map(|member| if let Member::Callback(callback) = member { Some(callback) } else { None })
            .collect();
        let ask = |callback: Arc<Callback>| {
            let (called, name) = (Arc::clone(&callback), &callback.core.declaration.name);
            let value = move || isolated(&called.core.declaration.name, || (called.value)());
            let run = callback.runs.join_or_start(name, &context, waiter, value);
            (callback, run)
        };
        callbacks.into_iter().map(ask).collect()
    }
}

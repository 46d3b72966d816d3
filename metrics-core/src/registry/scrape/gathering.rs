//! What a scrape does before it shows anything: it has declarations brought up, and asks collectors and callbacks, all
//! within its time.

use std::sync::Arc;
use std::time::Duration;

use crate::internal::InternalError;
use crate::registry::Registry;
use crate::registry::collect::context::Collecting;
use crate::registry::collect::isolated;
use crate::registry::collect::runs::Asked;
use crate::registry::collect::waiter::Waiter;
use crate::registry::members::{Callback, Member};
use crate::registry::shown::Collected;
use crate::sample::Value;

/// What was asked, and has answered or not.
pub(crate) struct Gathering {
    pub(crate) waiter: Arc<Waiter>,
    collecting: Collecting,
    collectors: Vec<(String, Option<Asked<Collected>>)>,
    callbacks: Vec<(Arc<Callback>, Option<Asked<Value<'static>>>)>,
}

/// What there is to show.
pub(crate) struct Found {
    pub(crate) collected: Vec<Arc<Collected>>,
    pub(crate) values: Vec<(Arc<Callback>, Value<'static>)>,
}

impl Gathering {
    /// Asks the callbacks of a registry, and its collectors if they are wanted.
    pub(crate) fn begin(registry: &Registry, patience: Duration, collectors: bool, may_block: bool) -> Self {
        let waiter = Waiter::new(may_block);
        let collecting = Collecting::also_for(registry, patience);
        let collectors = if collectors { registry.ask_collectors(&collecting, &waiter) } else { Vec::new() };
        let callbacks = registry.ask_callbacks(patience, &waiter);
        Self { waiter, collecting, collectors, callbacks }
    }

    /// Waits on this thread.
    pub(crate) fn wait(self) -> Found {
        self.waiter.wait(self.collecting.time_left());
        self.found()
    }

    /// What has answered by now; what has not is left out, and counted.
    pub(crate) fn found(self) -> Found {
        let collected = self.collectors.into_iter().filter_map(|(name, asked)| answer(&name, asked)).collect();
        let value = |(callback, asked): (Arc<Callback>, _)| {
            let value = answer(&callback.core.declaration.name, asked)?;
            Some((callback, *value))
        };
        Found { collected, values: self.callbacks.into_iter().filter_map(value).collect() }
    }
}

pub(crate) fn answer<T>(name: &str, asked: Option<Asked<T>>) -> Option<Arc<T>> {
    match asked.map(|asked| asked.result()) {
        Some(Ok(answer)) => answer,
        None | Some(Err(())) => {
            InternalError::CollectorTimeout.record(&name);
            None
        }
    }
}

impl Registry {
    fn ask_callbacks(
        &self,
        patience: Duration,
        waiter: &Arc<Waiter>,
    ) -> Vec<(Arc<Callback>, Option<Asked<Value<'static>>>)> {
        // A callback that scrapes its own registry would ask itself without end.
        let Some(collecting) = Collecting::callbacks_of(self, patience) else { return Vec::new() };
        let callbacks: Vec<_> = self
            .read()
            .members
            .all()
            .into_iter()
            .filter_map(|member| if let Member::Callback(callback) = member { Some(callback) } else { None })
            .collect();
        let ask = |callback: Arc<Callback>| {
            let (asked, name) = (Arc::clone(&callback), &callback.core.declaration.name);
            let value = move || isolated(&asked.core.declaration.name, || (asked.value)());
            let run = callback.runs.ask(name, &collecting, waiter, value);
            (callback, run)
        };
        callbacks.into_iter().map(ask).collect()
    }
}

//! What a scrape does before it shows anything: it has declarations brought up, and asks collectors and callbacks, all
//! within its time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::Sources;
use crate::alarm::Alarm;
use crate::internal::InternalError;
use crate::registry::bridge::Collecting;
use crate::registry::collect::runs::Asked;
use crate::registry::collect::waiter::Waiter;
use crate::registry::collect::{Collected, isolated};
use crate::registry::members::{Callback, Member};
use crate::registry::{Registry, declared};
use crate::sample::Value;

/// What was asked, and has answered or not.
pub(crate) struct Gathering {
    waiter: Arc<Waiter>,
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
    fn found(self) -> Found {
        let collected = self.collectors.into_iter().filter_map(|(name, asked)| answer(&name, asked)).collect();
        let value = |(callback, asked): (Arc<Callback>, _)| {
            let value = answer(&callback.core.declaration.name, asked)?;
            Some((callback, *value))
        };
        Found { collected, values: self.callbacks.into_iter().filter_map(value).collect() }
    }
}

fn answer<T>(name: &str, asked: Option<Asked<T>>) -> Option<Arc<T>> {
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

/// A gathering as a task: nothing of it blocks, whatever collectors do.
pub(crate) struct Gather {
    registry: Registry,
    begin: Instant,
    patience: Duration,
    stage: Stage,
    alarm: Option<Alarm>,
}

enum Stage {
    Claiming(Arc<Waiter>, Option<Asked<()>>),
    Collecting(Gathering),
    Over,
}

impl Registry {
    /// Gathers everything that a scrape shows, for so long.
    #[cfg_attr(not(feature = "exposition"), allow(dead_code, reason = "what exposes it is a feature"))]
    pub(crate) fn gather(&self, patience: Duration) -> Gather {
        let begin = Instant::now();
        let waiter = Waiter::new(false);
        let is_claimed = !self.inner.is_global || declared::all_claimed();
        let claiming = (!is_claimed).then(|| {
            let collecting = Collecting::also_for(self, patience);
            self.inner.claims.ask("declarations", &collecting, &waiter, || {
                declared::claim_all(true);
                Some(())
            })
        });
        let stage = Stage::Claiming(waiter, claiming.flatten());
        Gather { registry: self.clone(), begin, patience, stage, alarm: None }
    }
}

impl Gather {
    fn time_left(&self) -> Duration {
        self.patience.saturating_sub(self.begin.elapsed())
    }

    /// Whether it has to go on with what there is.
    fn is_over(&mut self, waiter: &Waiter, cx: &Context<'_>) -> bool {
        if waiter.is_done(cx.waker()) || self.time_left().is_zero() {
            return true;
        }
        let at = self.begin.checked_add(self.patience);
        // The task may have moved on to another waker.
        self.alarm = at.and_then(|at| Alarm::set(at, cx.waker()));
        // Nobody would tell it.
        at.is_some() && self.alarm.is_none()
    }
}

impl Future for Gather {
    type Output = Sources;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Sources> {
        let this = &mut *self;
        loop {
            match std::mem::replace(&mut this.stage, Stage::Over) {
                Stage::Claiming(waiter, claiming) => {
                    if claiming.is_some() && !this.is_over(&waiter, cx) {
                        this.stage = Stage::Claiming(waiter, claiming);
                        return Poll::Pending;
                    }
                    if let Some(asked) = claiming {
                        answer("bringing up declarations", Some(asked));
                    }
                    this.stage = Stage::Collecting(Gathering::begin(&this.registry, this.time_left(), true, false));
                }
                Stage::Collecting(gathering) => {
                    if !this.is_over(&Arc::clone(&gathering.waiter), cx) {
                        this.stage = Stage::Collecting(gathering);
                        return Poll::Pending;
                    }
                    return Poll::Ready(Sources::new(&this.registry, Some(gathering.found())));
                }
                Stage::Over => return Poll::Ready(Sources::new(&this.registry, None)),
            }
        }
    }
}

//! The first phase of a scrape as a future, for servers that must not block.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::gathering::{Gathering, answer};
use super::sources::Sources;
use crate::alarm::Alarm;
use crate::registry::collect::context::ScrapeContext;
use crate::registry::collect::runs::PendingRun;
use crate::registry::collect::waiter::Waiter;
use crate::registry::{Registry, declared};

/// A gathering as a task: nothing of it blocks, whatever collectors do.
pub(crate) struct Gather {
    registry: Registry,
    begin: Instant,
    timeout: Duration,
    stage: GatherStage,
    alarm: Option<Alarm>,
}

enum GatherStage {
    Claiming(Arc<Waiter>, Option<PendingRun<()>>),
    Collecting(Gathering),
    Over,
}

impl Registry {
    /// Gathers everything that a scrape shows, for so long.
    #[cfg_attr(not(feature = "exposition"), allow(dead_code, reason = "what exposes it is a feature"))]
    pub(crate) fn gather(&self, timeout: Duration) -> Gather {
        let begin = Instant::now();
        let waiter = Waiter::new(false);
        let is_claimed = !self.inner.is_global || declared::all_claimed();
        let claiming = (!is_claimed).then(|| {
            let context = ScrapeContext::nested(self, timeout);
            self.inner.claims.join_or_start("declarations", &context, &waiter, || {
                declared::claim_all(true);
                Some(())
            })
        });
        let stage = GatherStage::Claiming(waiter, claiming.flatten());
        Gather { registry: self.clone(), begin, timeout, stage, alarm: None }
    }
}

impl Gather {
    fn time_left(&self) -> Duration {
        self.timeout.saturating_sub(self.begin.elapsed())
    }

    /// Whether it has to go on with what there is.
    fn is_over(&mut self, waiter: &Waiter, cx: &Context<'_>) -> bool {
        if waiter.is_done(cx.waker()) || self.time_left().is_zero() {
            return true;
        }
        let at = self.begin.checked_add(self.timeout);
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
            match std::mem::replace(&mut this.stage, GatherStage::Over) {
                GatherStage::Claiming(waiter, claiming) => {
                    if claiming.is_some() && !this.is_over(&waiter, cx) {
                        this.stage = GatherStage::Claiming(waiter, claiming);
                        return Poll::Pending;
                    }
                    if let Some(pending) = claiming {
                        answer("declarations", Some(pending));
                    }
                    this.stage =
                        GatherStage::Collecting(Gathering::begin(&this.registry, this.time_left(), true, false));
                }
                GatherStage::Collecting(gathering) => {
                    if !this.is_over(&Arc::clone(&gathering.waiter), cx) {
                        this.stage = GatherStage::Collecting(gathering);
                        return Poll::Pending;
                    }
                    return Poll::Ready(Sources::new(&this.registry, Some(gathering.found())));
                }
                GatherStage::Over => return Poll::Ready(Sources::new(&this.registry, None)),
            }
        }
    }
}

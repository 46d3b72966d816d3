//! The first phase of a scrape as a future, for servers that must not block.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::gathering::Gathering;
use super::sources::Sources;
use crate::alarm::Alarm;
use crate::registry::collect::waiter::Waiter;
use crate::registry::{Registry, declared};

/// A [`Gathering`] as a future. Starting it blocks only if no thread can be spawned for a collector or callback, which
/// then runs on the calling thread.
pub(crate) struct Gather {
    registry: Registry,
    begin: Instant,
    timeout: Duration,
    gathering: Option<Gathering>,
    alarm: Option<Alarm>,
}

impl Registry {
    /// Starts collectors and callbacks, and returns a future that waits for them for at most `timeout`.
    #[cfg_attr(not(feature = "exposition"), allow(dead_code, reason = "only the feature `exposition` uses it"))]
    pub(crate) fn gather(&self, timeout: Duration) -> Gather {
        declared::initialize_for_scrape(self.inner.is_global);
        let begin = Instant::now();
        let gathering = Some(Gathering::begin(self, timeout, true));
        Gather { registry: self.clone(), begin, timeout, gathering, alarm: None }
    }
}

impl Gather {
    fn time_left(&self) -> Duration {
        self.timeout.saturating_sub(self.begin.elapsed())
    }

    /// Returns true if the scrape must continue with the results that have arrived.
    fn is_over(&mut self, waiter: &Waiter, cx: &Context<'_>) -> bool {
        if waiter.is_done(cx.waker()) || self.time_left().is_zero() {
            return true;
        }
        let at = self.begin.checked_add(self.timeout);
        // Set again on every poll, because the waker may have changed.
        self.alarm = at.and_then(|at| Alarm::set(at, cx.waker()));
        // Without an alarm, nothing would wake the task at the timeout.
        at.is_some() && self.alarm.is_none()
    }
}

impl Future for Gather {
    type Output = Sources;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Sources> {
        let this = &mut *self;
        let Some(gathering) = this.gathering.take() else { return Poll::Ready(Sources::new(&this.registry, None)) };
        if !this.is_over(&gathering.waiter, cx) {
            this.gathering = Some(gathering);
            return Poll::Pending;
        }
        Poll::Ready(Sources::new(&this.registry, Some(gathering.found())))
    }
}

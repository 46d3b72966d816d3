//! The guard of one call: sees how the call ends, and records it.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::families::Handles;
use super::feeds::{FeedsCount, FeedsLatency, FeedsLevel, TargetRef};
use super::site::{MAX_LABELS, Role, Site};
use crate::cell;
use crate::clock::Moment;
use crate::internal::InternalError;
use crate::label_value::Label;
use crate::{histogram, summary};

/// A call whose labels are being evaluated.
///
/// If that ends the call, it is recorded as an exception under the label values `__overflow__`.
#[must_use = "the call begins when `start` is called"]
pub struct Entering {
    site: &'static Site,
    start: Moment,
}

impl Entering {
    #[inline]
    pub(super) fn new(site: &'static Site) -> Self {
        Self { site, start: Moment::now() }
    }

    /// Begins the call with the values of those labels that are not fixed.
    #[inline]
    pub fn start<const N: usize>(self, labels: [Label<'_>; N]) -> Call {
        let values: [&str; N] = std::array::from_fn(|at| labels[at].as_str());
        let (handles, bounds) = self.site.resolve(&values);
        let start = self.start;
        mem::forget(self);
        Call::new(start, handles, bounds)
    }
}

impl Drop for Entering {
    #[cold]
    fn drop(&mut self) {
        InternalError::LabelPanic.record(&self.site.location());
        let (handles, bounds) = match self.site.families() {
            Some(families) => (families.overflow(), families.bounds()),
            None => self.site.unresolved(),
        };
        // Not begun, so not in flight; what a call records when it unwinds is the rest.
        let mut handles = handles;
        handles[Role::InFlight as usize] = cell::Handle::NONE;
        Call::new(self.start, handles, bounds).finish(true);
    }
}

/// As [`Entering`], for a call that names families of its own.
#[must_use = "the call begins when `start` is called"]
pub struct EnteringWith<'a> {
    entering: Entering,
    per_call: [Option<TargetRef<'a>>; Role::COUNT],
}

impl<'a> EnteringWith<'a> {
    #[inline]
    pub(super) fn new(site: &'static Site) -> Self {
        Self { entering: Entering::new(site), per_call: [None; Role::COUNT] }
    }

    /// The family given as `latency`.
    #[inline]
    pub fn latency<M: FeedsLatency>(self, family: &'a M) -> Self {
        self.with(Role::Latency, family.target())
    }

    /// The family given as `exceptions`.
    #[inline]
    pub fn exceptions<M: FeedsCount>(self, family: &'a M) -> Self {
        self.with(Role::Exceptions, family.target())
    }

    /// The family given as `cancelled`.
    #[inline]
    pub fn cancelled<M: FeedsCount>(self, family: &'a M) -> Self {
        self.with(Role::Cancelled, family.target())
    }

    /// The family given as `in_flight`.
    #[inline]
    pub fn in_flight<M: FeedsLevel>(self, family: &'a M) -> Self {
        self.with(Role::InFlight, family.target())
    }

    fn with(mut self, role: Role, target: TargetRef<'a>) -> Self {
        if let (Role::Exceptions | Role::Cancelled, TargetRef::Family(core)) = (role, target) {
            core.read_first();
        }
        self.per_call[role as usize] = Some(target);
        self
    }

    /// Begins the call with the values of those labels that are not fixed.
    #[inline]
    pub fn start<const N: usize>(self, labels: [Label<'_>; N]) -> Call {
        let Self { entering, per_call } = self;
        let site = entering.site;
        let values: [&str; N] = std::array::from_fn(|at| labels[at].as_str());
        let (mut handles, mut bounds) = site.resolve(&values);
        let start = entering.start;
        mem::forget(entering);
        let Some(families) = site.families() else { return Call::new(start, handles, bounds) };
        let mut replaced = [""; MAX_LABELS];
        let values = site.within_sets(families, &values, &mut replaced);
        for (role, target) in Role::ALL.into_iter().zip(per_call) {
            let Some(target) = target else { continue };
            match families.resolve_in(target, values) {
                Some(handle) => handles[role as usize] = handle,
                None => InternalError::SiteConflict.record(&site.location()),
            }
            if role == Role::Latency {
                bounds = target.bounds();
            }
        }
        Call::new(start, handles, bounds)
    }
}

impl TargetRef<'_> {
    fn bounds(self) -> &'static [f64] {
        match self {
            Self::Family(core) => core.declaration.bounds,
            Self::Alone { bounds, .. } => bounds,
        }
    }
}

/// A call that is running. Dropped without [`Call::finish`], it has panicked or was cancelled.
#[must_use = "dropping the guard says that the call has panicked or was cancelled"]
pub struct Call {
    start: Moment,
    handles: Handles,
    /// Upper bounds of the latency's buckets; none for a summary.
    bounds: &'static [f64],
    /// Whether the body is running now: a drop is then its unwinding, else the future was dropped.
    running: AtomicBool,
}

/// How a call ended.
#[derive(Clone, Copy)]
enum Outcome {
    Ok,
    Exception,
    Cancelled,
}

impl Call {
    #[inline]
    pub(super) fn new(start: Moment, handles: Handles, bounds: &'static [f64]) -> Self {
        let in_flight = handles[Role::InFlight as usize];
        if !in_flight.is_none() {
            cell::gauge::update(in_flight, |running| running + 1.0);
        }
        Self { start, handles, bounds, running: AtomicBool::new(true) }
    }

    /// Runs the body of a function.
    ///
    /// Handed over as a closure, a body can return early and borrow from what it owns.
    #[inline]
    pub fn run<R>(&self, body: impl FnOnce() -> R) -> R {
        body()
    }

    /// Runs the body of an `async` function.
    #[inline]
    pub fn run_async<F: Future>(&self, body: F) -> Running<'_, F> {
        Running { call: self, body }
    }

    /// Ends a call that has returned.
    #[inline]
    pub fn finish(self, exception: bool) {
        self.record(if exception { Outcome::Exception } else { Outcome::Ok });
        mem::forget(self);
    }

    /// Latency first: whoever reads exceptions before it then never sees more of them than calls.
    fn record(&self, outcome: Outcome) {
        let [latency, exceptions, cancelled, in_flight] = self.handles;
        let seconds = self.start.elapsed().as_secs_f64();
        if self.bounds.is_empty() {
            summary::observe(latency, seconds);
        } else {
            histogram::observe(latency, self.bounds, seconds);
        }
        match outcome {
            Outcome::Ok => {}
            Outcome::Exception => cell::counter::add_whole(exceptions, 1),
            Outcome::Cancelled => cell::counter::add_whole(cancelled, 1),
        }
        if !in_flight.is_none() {
            cell::gauge::update(in_flight, |running| running - 1.0);
        }
    }
}

impl Drop for Call {
    #[cold]
    fn drop(&mut self) {
        let panicked = *self.running.get_mut();
        self.record(if panicked { Outcome::Exception } else { Outcome::Cancelled });
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("start", &self.start).finish_non_exhaustive()
    }
}

pin_project! {
    /// The body of an `async` function; tells its call whether it is running.
    #[must_use = "futures do nothing unless polled"]
    pub struct Running<'c, F> {
        call: &'c Call,
        #[pin]
        body: F,
    }
}

impl<F: Future> Future for Running<'_, F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.call.running.store(true, Ordering::Relaxed);
        let polled = this.body.poll(cx);
        // A panic leaves it as it is: the guard is dropped as part of the unwinding.
        this.call.running.store(polled.is_ready(), Ordering::Relaxed);
        polled
    }
}

//! The guard of one call: sees how the call ends, and records it.

use std::fmt;
use std::future::Future;
use std::mem::{self, ManuallyDrop};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::families::Handles;
use super::feeds::{FeedsCount, FeedsLatency, FeedsLevel, TargetRef};
use super::site::{MAX_LABELS, Role, Site};
use crate::cell::{self, Handle};
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
        Call::of_panicking_label(self, &[None; Role::COUNT]);
    }
}

/// As [`Entering`], for a call that names families of its own.
#[must_use = "the call begins when `start` is called"]
pub struct EnteringWith<'a> {
    entering: ManuallyDrop<Entering>,
    per_call: [Option<TargetRef<'a>>; Role::COUNT],
}

impl<'a> EnteringWith<'a> {
    #[inline]
    pub(super) fn new(site: &'static Site) -> Self {
        Self { entering: ManuallyDrop::new(Entering::new(site)), per_call: [None; Role::COUNT] }
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
        if let Role::Exceptions | Role::Cancelled = role {
            target.read_first();
        }
        self.per_call[role as usize] = Some(target);
        self
    }

    /// Begins the call with the values of those labels that are not fixed.
    #[inline]
    pub fn start<const N: usize>(self, labels: [Label<'_>; N]) -> Call {
        let this = ManuallyDrop::new(self);
        let Entering { site, start } = &*this.entering;
        let values: [&str; N] = std::array::from_fn(|at| labels[at].as_str());
        let (mut handles, mut bounds) = site.resolve(&values);
        let Some(families) = site.families() else { return Call::new(*start, handles, bounds) };
        let mut replaced = [""; MAX_LABELS];
        let values = site.within_sets(families, &values, &mut replaced);
        for (role, target) in Role::ALL.into_iter().zip(this.per_call) {
            let Some(target) = target else { continue };
            handles[role as usize] = families.resolve_in(target, values).unwrap_or_else(|| {
                site.note_mismatch(role);
                Handle::NONE
            });
            if role == Role::Latency {
                bounds = target.bounds();
            }
        }
        Call::new(*start, handles, bounds)
    }
}

impl Drop for EnteringWith<'_> {
    #[cold]
    fn drop(&mut self) {
        Call::of_panicking_label(&self.entering, &self.per_call);
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

    /// Records a call that a label expression has ended, by panicking or by leaving the function.
    #[cold]
    fn of_panicking_label(Entering { site, start }: &Entering, per_call: &[Option<TargetRef<'_>>; Role::COUNT]) {
        InternalError::LabelPanic.record(&site.location());
        let (mut handles, mut bounds) = match site.families() {
            Some(families) => (families.overflow(), families.bounds()),
            None => site.unresolved(),
        };
        for (role, target) in Role::ALL.into_iter().zip(per_call) {
            let Some(target) = target else { continue };
            handles[role as usize] = match *target {
                TargetRef::Family(core) => core.overflow(),
                TargetRef::Alone { handle, .. } => handle,
            };
            if role == Role::Latency {
                bounds = target.bounds();
            }
        }
        // The call has not begun, and so was never in flight.
        handles[Role::InFlight as usize] = Handle::NONE;
        Self::new(*start, handles, bounds).finish(true);
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

    /// Runs the body of an `async` function that never returns.
    pub async fn run_never<F: Future>(&self, body: F) -> ! {
        self.run_async(body).await;
        unreachable!("the type of the function says that its body never ends")
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

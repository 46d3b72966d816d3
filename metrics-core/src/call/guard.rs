//! The guard of one call: sees how the call ends, and records it.

use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::families::Handles;
use super::measured::{Begun, Unbegun};
use super::source::Role;
use crate::cell::{self, Handle};
use crate::clock::Moment;

/// A call whose labels are known and that has not begun. Dropped, it records nothing.
#[must_use = "the call is recorded by what it measures"]
#[derive(Debug)]
pub struct Prepared {
    start: Moment,
    handles: Handles,
    /// Upper bounds of the latency's buckets; none for a summary.
    bounds: &'static [f64],
}

impl Prepared {
    #[inline]
    pub(super) fn new(start: Moment, (handles, bounds): (Handles, &'static [f64])) -> Self {
        Self { start, handles, bounds }
    }
}

impl Unbegun for Prepared {
    type Call = Call;

    #[inline]
    fn begin(self) -> Call {
        Self { start: Moment::now(), ..self }.begin_back_then()
    }

    #[inline]
    fn begin_back_then(self) -> Call {
        enter(self.handles[Role::InFlight as usize]);
        Call { start: self.start, handles: self.handles, bounds: self.bounds, running: AtomicBool::new(true) }
    }
}

/// A call that is running. Dropped without [`Call::finish`], it has panicked or was cancelled.
#[must_use = "dropping the guard says that the call has panicked or was cancelled"]
pub struct Call {
    start: Moment,
    handles: Handles,
    bounds: &'static [f64],
    /// Whether the body is running now: a drop is then its unwinding, else the future was dropped.
    running: AtomicBool,
}

/// How a call ended.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Ok,
    Exception,
    Cancelled,
}

impl Outcome {
    #[inline]
    pub(super) fn returned(exception: bool) -> Self {
        if exception { Self::Exception } else { Self::Ok }
    }

    /// What a call that was dropped has come to.
    pub(super) fn dropped(running: bool) -> Self {
        if running { Self::Exception } else { Self::Cancelled }
    }
}

impl Call {
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
        Running::new(&self.running, body)
    }

    /// Runs the body of an `async` function that never returns.
    pub async fn run_never<F: Future>(&self, body: F) -> ! {
        self.run_async(body).await;
        unreachable!("the type of the function says that its body never ends")
    }

    /// Ends a call that has returned.
    pub fn finish(self, exception: bool) {
        let this = ManuallyDrop::new(self);
        record(this.start, this.handles, this.bounds, Outcome::returned(exception));
    }
}

impl Begun<bool> for Call {
    #[inline]
    fn running(&self) -> &AtomicBool {
        &self.running
    }

    #[inline]
    fn finish(self, exception: bool) {
        self.finish(exception);
    }
}

impl Drop for Call {
    #[cold]
    fn drop(&mut self) {
        record(self.start, self.handles, self.bounds, Outcome::dropped(*self.running.get_mut()));
    }
}

/// One more call in flight.
#[inline]
pub(super) fn enter(in_flight: Handle) {
    if !in_flight.is_none() {
        change_in_flight(in_flight, 1.0);
    }
}

/// Latency first: whoever reads exceptions before it then never sees more of them than calls.
#[inline]
pub(super) fn record(start: Moment, handles: Handles, bounds: &'static [f64], outcome: Outcome) {
    let [latency, exceptions, cancelled, in_flight] = handles;
    let seconds = start.seconds();
    if bounds.is_empty() {
        cell::summary::observe(latency, seconds);
    } else {
        observe_in_buckets(latency, bounds, seconds);
    }
    match outcome {
        Outcome::Ok => {}
        Outcome::Exception => cell::counter::add_whole(exceptions, 1),
        Outcome::Cancelled => cell::counter::add_whole(cancelled, 1),
    }
    if !in_flight.is_none() {
        change_in_flight(in_flight, -1.0);
    }
}

// Out of line, so that calls without these parts keep no registers for them.

#[inline(never)]
fn observe_in_buckets(latency: Handle, bounds: &'static [f64], seconds: f64) {
    cell::histogram::observe(latency, bounds, seconds);
}

#[inline(never)]
fn change_in_flight(in_flight: Handle, change: f64) {
    cell::gauge::update(in_flight, |running| running + change);
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
        running: &'c AtomicBool,
        #[pin]
        body: F,
    }
}

impl<'c, F> Running<'c, F> {
    #[inline]
    pub(super) fn new(running: &'c AtomicBool, body: F) -> Self {
        Self { running, body }
    }
}

impl<F: Future> Future for Running<'_, F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.running.store(true, Ordering::Relaxed);
        let polled = this.body.poll(cx);
        // A panic leaves it as it is: the guard is dropped as part of the unwinding.
        this.running.store(polled.is_ready(), Ordering::Relaxed);
        polled
    }
}

//! The guards for calls that are `async` or counted in flight. A guard detects how the call ends, and records it.
//! Other calls have the guards in [`super::untracked`]. Calls with late labels have a guard that keeps the values of
//! their other labels, even if they are `async` or counted in flight.
//!
//! A call ends in exactly one way. [`TrackedCall::finish`] records a call that has returned. If the guard is dropped
//! without `finish` while the body is running, the body panicked. If it is dropped between two polls of a future, the
//! call was canceled. `std::thread::panicking` cannot distinguish the two, because a future may be dropped while
//! another panic is unwinding. Therefore, [`RunningBody`] marks the call as running during each poll.
//!
//! The body is passed as a closure so that it can return early and borrow from values that it owns. `finish` takes the
//! guard by reference and loads the handles one by one. Copying them as an array would pass them through memory, which
//! costs more than the recording itself.

use std::fmt;
use std::future::Future;
use std::panic::RefUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::lifecycle::{Outcome, PendingCall, Progress, RunningCall};
use crate::call::declaration::label_source::Role;
use crate::call::feed::series::Series;
use crate::call::site::Site;
use crate::cell::{self, Buckets, Handle};
use crate::clock::Moment;
use crate::exemplars;

/// A call whose labels are known but that has not begun. Dropping it records nothing.
#[must_use = "a prepared call records nothing until it begins"]
#[derive(Debug)]
pub struct Prepared {
    series: Series,
}

impl Prepared {
    #[inline]
    pub(crate) fn new(series: Series) -> Self {
        Self { series }
    }
}

impl PendingCall for Prepared {
    type Call = TrackedCall;

    #[inline]
    fn begin(self) -> TrackedCall {
        TrackedCall::begin(self.series)
    }
}

/// A running call. Dropping it without [`TrackedCall::finish`] records a panic or a cancellation.
#[must_use = "dropping the guard records that the call panicked or was canceled"]
pub struct TrackedCall {
    start: Moment,
    series: Series,
    progress: Progress,
}

/// Defines a guard's methods for running a body. The guard must have a `progress` field.
macro_rules! body_methods {
    () => {
        /// Runs the body of a function.
        ///
        /// Passing the body as a closure lets it return early and borrow from values that it owns.
        #[inline]
        pub fn run<R>(&self, body: impl FnOnce() -> R) -> R {
            body()
        }

        /// Runs the body of an `async` function.
        #[inline]
        pub fn run_async<B: std::future::Future>(&self, body: B) -> $crate::call::run::guard::RunningBody<'_, B> {
            $crate::call::run::guard::RunningBody::new(&self.progress, body)
        }

        /// Runs the body of an `async` function that never returns.
        pub async fn run_never<B: std::future::Future>(&self, body: B) -> ! {
            self.run_async(body).await;
            unreachable!("a body of type `!` never returns")
        }
    };
}
pub(crate) use body_methods;

impl TrackedCall {
    #[inline]
    pub(crate) fn begin(series: Series) -> Self {
        enter(series.handles[Role::InFlight as usize]);
        Self { start: Moment::now(), series, progress: Progress::new() }
    }

    body_methods!();

    /// Ends a call that has returned. Takes a reference, so that the guard need not be moved out of a future.
    pub fn finish(&self, exception: bool) {
        self.progress.set_recorded();
        record(self.start, &self.series, Outcome::returned(exception));
    }

    /// Ends the call when the guard is dropped, for a body whose value cannot be inspected and is not an exception.
    #[inline]
    pub fn until_dropped(self) -> CallUntilDropped<Self> {
        CallUntilDropped::new(self)
    }

    #[cold]
    #[inline(never)]
    fn record_dropped(&mut self) {
        record(self.start, &self.series, self.progress.dropped());
    }
}

/// A running `async` call whose labels and families are all fixed and that is not counted in flight. Like
/// [`TrackedCall`], but reads the handles from the site when it ends, so the future that holds it is smaller.
#[must_use = "dropping the guard records that the call panicked or was canceled"]
pub struct AsyncCall {
    site: &'static dyn AsyncSite,
    start: Moment,
    progress: Progress,
}

impl AsyncCall {
    #[inline]
    pub(crate) fn new(site: &'static dyn AsyncSite, start: Moment) -> Self {
        Self { site, start, progress: Progress::new() }
    }

    body_methods!();

    /// Ends a call that has returned. Takes a reference, so that the guard need not be moved out of a future. Not
    /// inlined, to keep the callers small.
    #[inline(never)]
    pub fn finish(&self, exception: bool) {
        self.progress.set_recorded();
        self.site.finish(self.start, exception);
    }

    #[cold]
    #[inline(never)]
    fn record_dropped(&mut self) {
        self.site.record_dropped(self.start, self.progress.dropped());
    }
}

/// An `async` call that has not begun. Dropping it records nothing.
#[must_use = "a prepared call records nothing until it begins"]
pub struct PreparedAsync(pub(crate) &'static dyn AsyncSite);

impl PendingCall for PreparedAsync {
    type Call = AsyncCall;

    #[inline]
    fn begin(self) -> AsyncCall {
        // `prepare_async` has initialized the families. The first poll must not evaluate their expressions.
        AsyncCall::new(self.0, Moment::now())
    }
}

impl fmt::Debug for PreparedAsync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedAsync").finish_non_exhaustive()
    }
}

/// A site as seen by its `async` calls. A trait object, because the compiler would otherwise examine all fields of
/// [`Site`] for each future that must be `Send`, and checking an annotated function would take about a quarter longer.
pub(crate) trait AsyncSite: Send + Sync + RefUnwindSafe {
    fn finish(&'static self, start: Moment, exception: bool);

    /// Records a call that was dropped before it returned.
    fn record_dropped(&'static self, start: Moment, outcome: Outcome);
}

impl AsyncSite for Site {
    fn finish(&'static self, start: Moment, exception: bool) {
        self.finish(start, exception);
    }

    fn record_dropped(&'static self, start: Moment, outcome: Outcome) {
        let (seconds, now) = start.seconds_to_now();
        if let Some(families) = self.usable_families() {
            record_at(seconds, now, &families.fixed(), outcome);
        }
    }
}

/// Implements the traits that both guards share.
macro_rules! common_traits {
    ($($call:ident),*) => {$(
        impl RunningCall<bool> for $call {
            #[inline]
            fn progress(&self) -> &Progress {
                &self.progress
            }

            #[inline]
            fn finish(&self, exception: bool) {
                self.finish(exception);
            }
        }

        impl Drop for $call {
            #[inline]
            fn drop(&mut self) {
                if !self.progress.is_recorded() {
                    self.record_dropped();
                }
            }
        }

        impl fmt::Debug for $call {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($call)).field("start", &self.start).finish_non_exhaustive()
            }
        }
    )*};
}
common_traits!(TrackedCall, AsyncCall);

/// A guard that ends when the call returns. Dropping it instead records a panic.
pub trait Finish {
    /// Ends a call that has returned.
    fn finish(self, exception: bool);
}

impl Finish for TrackedCall {
    #[inline]
    fn finish(self, exception: bool) {
        TrackedCall::finish(&self, exception);
    }
}

/// A guard that records an exception only if the call panics.
#[must_use = "dropping the guard ends the call"]
#[derive(Debug)]
pub struct CallUntilDropped<C: Finish> {
    call: Option<C>,
    /// True if the call began in a destructor during unwinding.
    was_panicking: bool,
}

impl<C: Finish> CallUntilDropped<C> {
    #[inline]
    pub(super) fn new(call: C) -> Self {
        Self { call: Some(call), was_panicking: std::thread::panicking() }
    }
}

impl<C: Finish> Drop for CallUntilDropped<C> {
    #[inline]
    fn drop(&mut self) {
        // Otherwise, dropping the unfinished call records a panic.
        if std::thread::panicking() == self.was_panicking
            && let Some(call) = self.call.take()
        {
            call.finish(false);
        }
    }
}

/// Increments the number of calls in flight.
#[inline]
pub(crate) fn enter(in_flight: Handle) {
    if !in_flight.is_none() {
        change_in_flight(in_flight, 1.0);
    }
}

/// Records a call, latency first, so that a scrape that reads exceptions before the latency never sees more exceptions
/// than calls.
#[inline(always)]
#[expect(clippy::inline_always, reason = "keeps the handles in registers, which saves a tenth of a call")]
pub(crate) fn record(start: Moment, series: &Series, outcome: Outcome) {
    let (seconds, now) = start.seconds_to_now();
    record_at(seconds, now, series, outcome);
}

/// Like [`record`], for a call that has ended at `now`.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as for `record`")]
pub(super) fn record_at(seconds: f64, now: Moment, Series { handles, buckets }: &Series, outcome: Outcome) {
    // Load each handle separately: a wide load of two recent stores would stall until the stores complete.
    let [latency, exceptions, cancelled, in_flight] = handles;
    match buckets {
        None => cell::summary::observe(*latency, seconds),
        Some(buckets) => observe_in_buckets(*latency, buckets, seconds, now),
    }
    match outcome {
        Outcome::Ok => {}
        Outcome::Exception => count_exception(*exceptions, now),
        Outcome::Cancelled => cell::counter::add_whole(*cancelled, 1),
    }
    if !in_flight.is_none() {
        change_in_flight(*in_flight, -1.0);
    }
}

/// Inlined, because failed calls should cost hardly more than others.
#[inline(always)]
#[expect(clippy::inline_always, reason = "saves 16 instructions of a failed call")]
pub(super) fn count_exception(exceptions: Handle, now: Moment) {
    cell::counter::add_whole(exceptions, 1);
    exemplars::counted_in_trace(exceptions, now);
}

// Not inlined, so that calls that need neither function do not reserve registers for them.

#[inline(never)]
pub(super) fn observe_in_buckets(latency: Handle, buckets: &'static Buckets, seconds: f64, now: Moment) {
    cell::observe(latency, Some(buckets), seconds);
    exemplars::observed_in_trace(latency, buckets, seconds, now);
}

#[inline(never)]
fn change_in_flight(in_flight: Handle, change: f64) {
    cell::gauge::update(in_flight, |running| running + change);
}

pin_project! {
    /// The body of an `async` function. Records in the guard whether the body is running.
    #[must_use = "futures do nothing unless polled"]
    pub struct RunningBody<'c, F> {
        progress: &'c Progress,
        #[pin]
        body: F,
    }
}

impl<'c, F> RunningBody<'c, F> {
    #[inline]
    pub(crate) fn new(progress: &'c Progress, body: F) -> Self {
        Self { progress, body }
    }
}

impl<F: Future> Future for RunningBody<'_, F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.progress.set_running(true);
        let polled = this.body.poll(cx);
        // A panic leaves the call marked as running; the guard is dropped during unwinding.
        if polled.is_pending() {
            this.progress.set_running(false);
        }
        polled
    }
}

//! Calls to functions that are not `async`, are not counted in flight and have no labels from the result. They end by
//! returning or by a panic, so their guards do not track the progress of a call.
//!
//! If all labels are fixed, the guard fits into registers, and the call reads its handles from the site when it ends.
//! [`AsyncCall`](super::guard::AsyncCall) ends in the same way. Otherwise, the function that begins a call writes the
//! guard where the caller keeps it, and the function that ends the call reads it there, so the caller moves no handles.

use std::fmt;
use std::mem::{self, ManuallyDrop};

use super::guard::{self, CallUntilDropped, Finish};
use super::lifecycle::Outcome;
use crate::call::declaration::label_source::Role;
use crate::call::feed::families::Families;
use crate::call::feed::series::Series;
use crate::call::site::Site;
use crate::cell::{self, Buckets, Handle};
use crate::clock::Moment;

/// A running call whose labels are all fixed. Dropping it without [`Call::finish`] records a panic.
#[must_use = "dropping the guard records that the call panicked"]
pub struct Call {
    site: &'static Site,
    start: Moment,
}

/// Like [`Call`], but for a call that has looked up its series.
#[must_use = "dropping the guard records that the call panicked"]
pub struct CallWithLabels {
    start: Moment,
    /// The buckets of the latency. Stored in the guard because the function's families may be replaced while the call
    /// runs, if an expression panicked earlier.
    buckets: Option<&'static Buckets>,
    latency: Handle,
    exceptions: Handle,
}

impl Call {
    #[inline]
    pub(crate) fn new(site: &'static Site, start: Moment) -> Self {
        Self { site, start }
    }

    /// Ends a call that has returned.
    #[inline]
    pub fn finish(self, exception: bool) {
        let this = ManuallyDrop::new(self);
        this.site.finish(this.start, exception);
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        self.site.record_panic(self.start);
    }
}

impl CallWithLabels {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that the handles stay in registers")]
    pub(crate) fn begin(latency: Handle, exceptions: Handle, buckets: Option<&'static Buckets>) -> Self {
        Self { start: Moment::now(), buckets, latency, exceptions }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that the handles stay in registers")]
    pub(crate) fn begin_in(Series { handles: [latency, exceptions, ..], buckets }: Series) -> Self {
        Self::begin(latency, exceptions, buckets)
    }

    /// Ends a call that has returned. Not inlined, to keep the callers small.
    #[inline(never)]
    pub fn finish(self, exception: bool) {
        // Does not unwind: sources of exemplars and loggers are guarded. A `ManuallyDrop` here would load all fields
        // before the clock is read.
        self.record(exception);
        mem::forget(self);
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that `finish` reads the guard where the caller keeps it")]
    fn record(&self, exception: bool) {
        let (seconds, now) = self.start.seconds_to_now();
        match self.buckets {
            None => cell::summary::observe(self.latency, seconds),
            Some(buckets) => guard::observe_in_buckets(self.latency, buckets, seconds, now),
        }
        if exception {
            guard::count_exception(self.exceptions, now);
        }
    }

    #[cold]
    #[inline(never)]
    fn record_panic(&self) {
        self.record(true);
    }
}

impl Drop for CallWithLabels {
    #[inline]
    fn drop(&mut self) {
        self.record_panic();
    }
}

impl Site {
    /// Records a call whose labels are all fixed. Not inlined, to keep the callers small.
    #[inline(never)]
    pub(super) fn finish(&'static self, start: Moment, exception: bool) {
        let (seconds, now) = start.seconds_to_now();
        let Some(families) = self.families.get() else { return self.finish_early(seconds, now, exception) };
        let handle = |role: Role| families.series.handle(role as usize);
        // Read before the latency: if it is newer than a removal, so is the latency, and no exception lacks its call.
        let exceptions = if exception { handle(Role::Exceptions) } else { Handle::NONE };
        if exception && exceptions.is_none() {
            return finish_slowly(families, seconds, now, exception);
        }
        let latency = handle(Role::Latency);
        match families.buckets() {
            None if cell::summary::try_observe(latency, seconds) => {}
            Some(buckets) if !latency.is_none() => guard::observe_in_buckets(latency, buckets, seconds, now),
            _ => return finish_slowly(families, seconds, now, exception),
        }
        if exception {
            guard::count_exception(exceptions, now);
        }
    }

    /// Records a call whose families are not initialized, because an expression panicked or another thread is still
    /// evaluating one. Evaluates nothing, because the call has already tried to.
    #[cold]
    #[inline(never)]
    fn finish_early(&'static self, seconds: f64, now: Moment, exception: bool) {
        if let Some(families) = self.usable_families() {
            finish_slowly(families, seconds, now, exception);
        }
    }

    #[cold]
    #[inline(never)]
    fn record_panic(&'static self, start: Moment) {
        self.finish(start, true);
    }
}

/// Records a call whose series this thread has not cached, or that must be looked up.
#[cold]
#[inline(never)]
fn finish_slowly(families: &Families, seconds: f64, now: Moment, exception: bool) {
    guard::record_at(seconds, now, &families.fixed(), Outcome::returned(exception));
}

/// Implements the methods and traits that both guards share.
macro_rules! common_methods {
    ($($call:ident),*) => {$(
        impl $call {
            /// Runs the body of a function.
            ///
            /// Passing the body as a closure lets it return early and borrow from values that it owns.
            #[inline]
            pub fn run<R>(&self, body: impl FnOnce() -> R) -> R {
                body()
            }

            /// Ends the call when the guard is dropped, for a body whose value cannot be inspected and is not an
            /// exception.
            #[inline]
            pub fn until_dropped(self) -> CallUntilDropped<Self> {
                CallUntilDropped::new(self)
            }
        }

        impl Finish for $call {
            fn finish(self, exception: bool) {
                self.finish(exception);
            }
        }

        impl fmt::Debug for $call {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($call)).field("start", &self.start).finish_non_exhaustive()
            }
        }
    )*};
}
common_methods!(Call, CallWithLabels);

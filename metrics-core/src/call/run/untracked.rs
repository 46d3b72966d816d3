//! Calls to functions that are not `async` and are not counted in flight. They end by returning or by a panic, so their
//! guards need not know how far a call has come.
//!
//! The guards have no more fields than fit into registers, and ending a call consumes its guard. What else a call
//! needs, it reads from its site when it ends: the buckets, the clock and, if all labels are fixed, the handles. Cold
//! paths take handles and numbers instead of closures, because a closure would be written to the stack in every call.

use std::fmt;
use std::mem::ManuallyDrop;

use super::guard::{self, CallUntilDropped, Finish};
use super::lifecycle::Outcome;
use crate::call::declaration::label_source::Role;
use crate::call::feed::families::Families;
use crate::call::feed::series::Series;
use crate::call::site::Site;
use crate::cell::{self, Handle};
use crate::clock::Moment;
use crate::exemplars;

/// A running call whose labels are all fixed. Dropping it without [`Call::finish`] records a panic.
#[must_use = "dropping the guard records that the call panicked"]
pub struct Call {
    site: &'static Site,
    start: Moment,
}

/// Like [`Call`], but for a call that has looked up its series. Per-call families are not supported.
#[must_use = "dropping the guard records that the call panicked"]
pub struct CallWithLabels {
    site: &'static Site,
    start: Moment,
    latency: Handle,
    exceptions: Handle,
}

impl Call {
    #[inline]
    pub(crate) fn new(site: &'static Site, start: Moment) -> Self {
        Self { site, start }
    }

    /// Runs the body of a function.
    ///
    /// Passing the body as a closure lets it return early and borrow from values that it owns.
    #[inline]
    pub fn run<R>(&self, body: impl FnOnce() -> R) -> R {
        body()
    }

    /// Ends a call that has returned.
    #[inline]
    pub fn finish(self, exception: bool) {
        let this = ManuallyDrop::new(self);
        this.site.finish(this.start, exception);
    }

    /// Ends the call when the guard is dropped, for a body whose value cannot be inspected and is not an exception.
    #[inline]
    pub fn until_dropped(self) -> CallUntilDropped<Self> {
        CallUntilDropped::new(self)
    }
}

impl Finish for Call {
    fn finish(self, exception: bool) {
        self.finish(exception);
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        self.site.record_panic(self.start);
    }
}

impl CallWithLabels {
    #[inline]
    pub(crate) fn new(site: &'static Site, start: Moment, latency: Handle, exceptions: Handle) -> Self {
        Self { site, start, latency, exceptions }
    }

    /// Runs the body of a function.
    #[inline]
    pub fn run<R>(&self, body: impl FnOnce() -> R) -> R {
        body()
    }

    /// Ends a call that has returned.
    #[inline]
    pub fn finish(self, exception: bool) {
        let this = ManuallyDrop::new(self);
        this.site.finish_in(this.start, this.latency, this.exceptions, exception);
    }

    /// Ends the call when the guard is dropped, for a body whose value cannot be inspected and is not an exception.
    #[inline]
    pub fn until_dropped(self) -> CallUntilDropped<Self> {
        CallUntilDropped::new(self)
    }
}

impl Finish for CallWithLabels {
    fn finish(self, exception: bool) {
        self.finish(exception);
    }
}

impl Drop for CallWithLabels {
    #[inline]
    fn drop(&mut self) {
        self.site.record_panic_in(self.start, self.latency, self.exceptions);
    }
}

impl Site {
    /// Records a call whose labels are all fixed. Not inlined, to keep the callers small.
    #[inline(never)]
    fn finish(&'static self, start: Moment, exception: bool) {
        let Some(families) = self.families.get() else { return self.finish_early(start, exception) };
        let of = |role: Role| families.series.handle(role as usize);
        let (seconds, now) = start.seconds_to_now();
        match families.buckets() {
            None if cell::summary::try_observe(of(Role::Latency), seconds) => {}
            _ => observe_slowly(families, of(Role::Latency), seconds, now),
        }
        if exception {
            let exceptions = of(Role::Exceptions);
            if !cell::counter::try_add_whole(exceptions, 1) {
                count_slowly(families, exceptions);
            }
            exemplars::counted_in_trace(exceptions, now);
        }
    }

    /// Records a call with these handles. Not inlined, to keep the callers small.
    #[inline(never)]
    fn finish_in(&'static self, start: Moment, latency: Handle, exceptions: Handle, exception: bool) {
        let (seconds, now) = start.seconds_to_now();
        let buckets = self.usable_families().and_then(Families::buckets);
        match buckets {
            None => cell::summary::observe(latency, seconds),
            Some(buckets) => guard::observe_in_buckets(latency, buckets, seconds, now),
        }
        if exception {
            cell::counter::add_whole(exceptions, 1);
            exemplars::counted_in_trace(exceptions, now);
        }
    }

    /// Records a call whose families are not initialized, because an expression panicked or another thread is still
    /// evaluating one. Evaluates nothing, because the call has already tried to.
    #[cold]
    #[inline(never)]
    fn finish_early(&'static self, start: Moment, exception: bool) {
        let series = match self.usable_families() {
            Some(families) => families.fixed(),
            None => Series::NONE,
        };
        guard::record(start, &series, Outcome::returned(exception));
    }

    #[cold]
    #[inline(never)]
    fn record_panic(&'static self, start: Moment) {
        self.finish(start, true);
    }

    #[cold]
    #[inline(never)]
    fn record_panic_in(&'static self, start: Moment, latency: Handle, exceptions: Handle) {
        self.finish_in(start, latency, exceptions, true);
    }
}

/// Observes a latency in buckets, or in a series that this thread has not cached.
#[inline(never)]
fn observe_slowly(families: &Families, latency: Handle, seconds: f64, now: Moment) {
    let latency = if latency.is_none() { families.fixed_handle(Role::Latency) } else { latency };
    match families.buckets() {
        None => cell::summary::observe(latency, seconds),
        Some(buckets) => guard::observe_in_buckets(latency, buckets, seconds, now),
    }
}

/// Counts an exception in a series that this thread has not cached.
#[cold]
#[inline(never)]
fn count_slowly(families: &Families, exceptions: Handle) {
    let exceptions = if exceptions.is_none() { families.fixed_handle(Role::Exceptions) } else { exceptions };
    cell::counter::add_whole(exceptions, 1);
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("start", &self.start).finish_non_exhaustive()
    }
}

impl fmt::Debug for CallWithLabels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallWithLabels").field("start", &self.start).finish_non_exhaustive()
    }
}

//! The start of a call: the evaluation of its labels and per-call families.
//!
//! If an expression for a label or family panics or returns from the function, the call is recorded as an exception
//! under `__overflow__`, so that the failed request is not lost.
//!
//! Each `begin` function builds the guard on the path that nearly every call takes, and delegates the other paths to
//! separate functions. If one function obtained the handles in two branches, it would pass them through memory, storing
//! them word by word and loading them in pairs. The resulting failure of store-to-load forwarding would stall the
//! processor for longer than the whole lookup takes.

use std::mem::ManuallyDrop;

use super::declaration::label_source::{MAX_LABELS, Role};
use super::feed::series::Series;
use super::feed::target::{FeedsCount, FeedsLatency, FeedsLevel, PerCall, TargetRef};
use super::run::guard::{Call, Prepared};
use super::run::lifecycle::PendingCall;
use super::site::Site;
use crate::cache;
use crate::cell::Handle;
use crate::clock::Moment;
use crate::internal::InternalError;
use crate::label_value::Label;

/// A call whose labels are being evaluated.
///
/// If dropped because a label expression panics or returns from the function, this guard records the call as an
/// exception under `__overflow__`.
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

    /// Begins the call with the values of all labels that are not fixed.
    #[inline]
    pub fn start<const N: usize>(self, labels: [Label<'_>; N]) -> Call {
        let this = ManuallyDrop::new(self);
        if N > 0 && labels.iter().all(|label| label.closed().is_some()) {
            return this.site.begin_closed(this.start, &labels);
        }
        let values: [&str; N] = std::array::from_fn(|at| labels[at].as_str());
        this.site.begin(this.start, &values)
    }

    /// Like [`Entering::start`], for a call that begins later.
    #[inline]
    pub fn prepare<const N: usize>(self, labels: [Label<'_>; N]) -> Prepared {
        let this = ManuallyDrop::new(self);
        let values: [&str; N] = std::array::from_fn(|at| labels[at].as_str());
        Prepared::new(this.start, this.site.resolve(&values))
    }

    /// Disarms the guard once the labels are evaluated. The caller must then record the call.
    #[inline]
    pub(super) fn into_parts(self) -> (&'static Site, Moment) {
        let this = ManuallyDrop::new(self);
        (this.site, this.start)
    }
}

impl Drop for Entering {
    #[cold]
    fn drop(&mut self) {
        record_panic(self, &[None; Role::COUNT]);
    }
}

/// Like [`Entering`], for a function with per-call families.
#[must_use = "the call begins when `start` is called"]
pub struct EnteringWith<'a> {
    entering: ManuallyDrop<Entering>,
    per_call: PerCall<'a>,
}

impl<'a> EnteringWith<'a> {
    #[inline]
    pub(super) fn new(site: &'static Site) -> Self {
        Self { entering: ManuallyDrop::new(Entering::new(site)), per_call: [None; Role::COUNT] }
    }

    /// Sets the family given as `latency`.
    #[inline]
    pub fn latency<const N: usize, const UNLABELED: bool, M>(self, family: &'a M) -> Self
    where
        M: FeedsLatency<N, UNLABELED>,
    {
        self.with(Role::Latency, family.target())
    }

    /// Sets the family given as `exceptions`.
    #[inline]
    pub fn exceptions<const N: usize, const UNLABELED: bool, M>(self, family: &'a M) -> Self
    where
        M: FeedsCount<N, UNLABELED>,
    {
        self.with(Role::Exceptions, family.target())
    }

    /// Sets the family given as `cancelled`.
    #[inline]
    pub fn cancelled<const N: usize, const UNLABELED: bool, M>(self, family: &'a M) -> Self
    where
        M: FeedsCount<N, UNLABELED>,
    {
        self.with(Role::Cancelled, family.target())
    }

    /// Like [`EnteringWith::cancelled`], for a function with labels from its result. The family may have these labels.
    #[inline]
    pub fn cancelled_with_results<const N: usize, M: FeedsCount<N, false>>(self, family: &'a M) -> Self {
        self.with(Role::Cancelled, family.target())
    }

    /// Sets the family given as `in_flight`.
    #[inline]
    pub fn in_flight<const N: usize, const UNLABELED: bool, M>(self, family: &'a M) -> Self
    where
        M: FeedsLevel<N, UNLABELED>,
    {
        self.with(Role::InFlight, family.target())
    }

    fn with(mut self, role: Role, target: TargetRef<'a>) -> Self {
        if let Role::Exceptions | Role::Cancelled = role {
            target.mark_read_early();
        }
        self.per_call[role as usize] = Some(target);
        self
    }

    /// Begins the call with the values of all labels that are not fixed.
    #[inline]
    pub fn start<const N: usize>(self, labels: [Label<'_>; N]) -> Call {
        let is_first = self.entering.site.is_new();
        let prepared = self.prepare(labels);
        if is_first { prepared.begin() } else { prepared.begin_backdated() }
    }

    /// Like [`EnteringWith::start`], for a call that begins later.
    #[inline]
    pub fn prepare<const N: usize>(self, labels: [Label<'_>; N]) -> Prepared {
        let (site, start, per_call) = self.into_borrowed();
        let values: [&str; N] = std::array::from_fn(|at| labels[at].as_str());
        let mut series = site.resolve(&values);
        site.resolve_per_call(&values, &per_call, &Role::ALL, &mut series);
        Prepared::new(start, series)
    }

    /// Disarms the guard once the labels are evaluated. The caller must then record the call.
    pub(super) fn into_borrowed(self) -> (&'static Site, Moment, PerCall<'a>) {
        let this = ManuallyDrop::new(self);
        (this.entering.site, this.entering.start, this.per_call)
    }
}

impl Drop for EnteringWith<'_> {
    #[cold]
    fn drop(&mut self) {
        record_panic(&self.entering, &self.per_call);
    }
}

impl Site {
    /// Begins a call to a function whose labels are all fixed. Not inlined, to keep the callers small.
    pub fn start(&'static self) -> Call {
        self.begin_fixed(Moment::now())
    }

    /// Like [`Site::start`], for a call that begins later.
    pub fn prepare(&'static self) -> Prepared {
        Prepared::new(Moment::now(), self.resolve_fixed())
    }

    /// Returns a guard for a call whose labels are about to be evaluated.
    #[inline]
    pub fn enter(&'static self) -> Entering {
        Entering::new(self)
    }

    /// Returns a guard for a call whose families and labels are about to be evaluated.
    #[inline]
    pub fn enter_with<'a>(&'static self) -> EnteringWith<'a> {
        EnteringWith::new(self)
    }

    /// Begins a call with the label values from its arguments. Not inlined, to keep the callers small.
    fn begin(&self, start: Moment, values: &[&str]) -> Call {
        if let Some(families) = self.families.get()
            && let Some(handles) = cache::get_first_level(&families.cache, families.epoch(), values)
        {
            return Call::begin(start, Series { handles, buckets: families.buckets() });
        }
        self.begin_second_level(start, values)
    }

    #[inline(never)]
    fn begin_second_level(&self, start: Moment, values: &[&str]) -> Call {
        if let Some(families) = self.families.get()
            && let Some(handles) = cache::get_second_level(&families.cache, families.epoch(), values)
        {
            return Call::begin(start, Series { handles, buckets: families.buckets() });
        }
        let series = self.resolve(values);
        // The latency excludes a lookup that misses the cache.
        Call::begin(Moment::now(), series)
    }

    /// Like [`Site::begin`], for labels that all have closed sets, whose values index the dense cache.
    fn begin_closed(&self, start: Moment, labels: &[Label<'_>]) -> Call {
        if let Some(families) = self.families.get()
            && let Some(dense) = families.dense.get()
            && let Some(fixed) = dense.as_ref().and_then(|dense| dense.find(labels))
            && let Some(handles) = fixed.get(families.epoch())
        {
            return Call::begin(start, Series { handles, buckets: families.buckets() });
        }
        self.begin_closed_first(labels)
    }

    #[cold]
    #[inline(never)]
    fn begin_closed_first(&self, labels: &[Label<'_>]) -> Call {
        let mut values = [""; MAX_LABELS];
        for (value, label) in values.iter_mut().zip(labels) {
            *value = label.as_str();
        }
        let values = &values[..labels.len().min(MAX_LABELS)];
        let Some(families) = self.families() else { return Call::begin(Moment::now(), self.unresolved()) };
        let epoch = families.epoch();
        let series = self.resolve(values);
        families.cache_dense(epoch, labels, values);
        Call::begin(Moment::now(), series)
    }

    /// Begins a call to a function whose labels are all fixed.
    fn begin_fixed(&self, start: Moment) -> Call {
        if let Some(families) = self.families.get()
            && let Some(handles) = families.series.get(families.epoch())
        {
            return Call::begin(start, Series { handles, buckets: families.buckets() });
        }
        self.begin_first()
    }

    #[cold]
    #[inline(never)]
    fn begin_first(&self) -> Call {
        let series = self.resolve_fixed();
        Call::begin(Moment::now(), series)
    }
}

/// Records a call that ended because a label or family expression panicked or returned from the function.
#[cold]
fn record_panic(Entering { site, start }: &Entering, per_call: &PerCall<'_>) {
    InternalError::LabelPanic.record(&site.declaration.location);
    let mut series = match site.families() {
        Some(families) => Series { handles: families.overflow(&Role::ALL), buckets: families.buckets() },
        None => site.unresolved(),
    };
    for (role, target) in Role::ALL.into_iter().zip(per_call) {
        let Some(target) = target else { continue };
        series.handles[role as usize] = match *target {
            TargetRef::Family(core) => core.overflow(),
            TargetRef::Unlabeled { handle, .. } => handle,
        };
        if role == Role::Latency {
            series.buckets = target.buckets();
        }
    }
    // The call never began, so it was never in flight.
    series.handles[Role::InFlight as usize] = Handle::NONE;
    Call::begin(*start, series).finish(true);
}

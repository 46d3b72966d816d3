//! The start of a call: the evaluation of its labels and per-call families.
//!
//! If an expression for a label or family panics or returns from the function, the call is recorded as an exception
//! under `__overflow__`, so that the failed request is not lost.
//!
//! Each lookup calls separate functions on the paths that few calls take. If one function obtained the handles in two
//! branches, it would pass them through memory, storing them word by word and loading them in pairs. The resulting
//! failure of store-to-load forwarding would stall the processor for longer than the whole lookup takes.

use std::mem::ManuallyDrop;

use super::declaration::label_source::{MAX_LABELS, Role};
use super::feed::series::Series;
use super::feed::target::{FeedsCount, FeedsLatency, FeedsLevel, PerCall, TargetRef};
use super::run::guard::{Prepared, TrackedCall};
use super::run::lifecycle::PendingCall;
use super::run::untracked::{Call, CallWithLabels, Found};
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
}

impl Entering {
    #[inline]
    pub(super) fn new(site: &'static Site) -> Self {
        Self { site }
    }

    /// Begins the call with the values of all labels that are not fixed. The latency excludes the lookup.
    ///
    /// Such a call is not counted in flight and cannot be canceled.
    #[inline]
    pub fn start<const N: usize>(self, labels: [Label<'_>; N]) -> CallWithLabels {
        let site = self.into_site();
        CallWithLabels::begin(match &labels[..] {
            [label] if label.closed().is_none() => site.find_one(label.as_str()),
            _ => site.series_of(&labels).into(),
        })
    }

    /// Like [`Entering::start`], for a call that can be canceled or is counted in flight.
    #[inline]
    pub fn start_tracked<const N: usize>(self, labels: [Label<'_>; N]) -> TrackedCall {
        self.prepare(labels).begin()
    }

    /// Like [`Entering::start_tracked`], for a call that begins later.
    #[inline]
    pub fn prepare<const N: usize>(self, labels: [Label<'_>; N]) -> Prepared {
        Prepared::new(self.into_site().series_of(&labels))
    }

    /// Disarms the guard once the labels are evaluated. The caller must then record the call.
    #[inline]
    pub(super) fn into_site(self) -> &'static Site {
        ManuallyDrop::new(self).site
    }
}

impl Drop for Entering {
    #[cold]
    fn drop(&mut self) {
        record_panic(self.site, &[None; Role::COUNT]);
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
    pub fn start_tracked<const N: usize>(self, labels: [Label<'_>; N]) -> TrackedCall {
        self.prepare(labels).begin()
    }

    /// Like [`EnteringWith::start_tracked`], for a call that begins later.
    #[inline]
    pub fn prepare<const N: usize>(self, labels: [Label<'_>; N]) -> Prepared {
        let (site, per_call) = self.into_borrowed();
        let values: [&str; N] = std::array::from_fn(|at| labels[at].as_str());
        Prepared::new(site.resolve_with(&values, &per_call))
    }

    /// Disarms the guard once the labels are evaluated. The caller must then record the call.
    pub(super) fn into_borrowed(self) -> (&'static Site, PerCall<'a>) {
        let this = ManuallyDrop::new(self);
        (this.entering.site, this.per_call)
    }
}

impl Drop for EnteringWith<'_> {
    #[cold]
    fn drop(&mut self) {
        record_panic(self.entering.site, &self.per_call);
    }
}

impl Site {
    /// Begins a call to a function whose labels are all fixed.
    #[inline]
    pub fn start(&'static self) -> Call {
        Call::new(self, self.begin())
    }

    /// Like [`Site::start`], for a call that can be canceled or is counted in flight.
    #[inline]
    pub fn start_tracked(&'static self) -> TrackedCall {
        self.prepare().begin()
    }

    /// Like [`Site::start_tracked`], for a call that begins later.
    pub fn prepare(&'static self) -> Prepared {
        if let Some(families) = self.families.get()
            && let Some(handles) = families.known_fixed()
        {
            return Prepared::new(Series { handles, buckets: families.buckets() });
        }
        self.prepare_first()
    }

    #[cold]
    #[inline(never)]
    fn prepare_first(&self) -> Prepared {
        Prepared::new(self.resolve_fixed())
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

    /// Returns the time at which a call begins whose labels are all fixed. The first call initializes the families
    /// first, so the latency excludes this. Not inlined, to keep the callers small.
    fn begin(&'static self) -> Moment {
        if self.is_new() { self.begin_first() } else { Moment::now() }
    }

    #[cold]
    #[inline(never)]
    fn begin_first(&'static self) -> Moment {
        match self.families() {
            Some(families) => families.create_fixed(),
            None => drop(self.unresolved()),
        }
        Moment::now()
    }

    /// Returns the series for the latency and the exceptions of a call with a single label. Not inlined, to keep the
    /// callers small.
    #[inline(never)]
    fn find_one(&self, value: &str) -> Found {
        if let Some(families) = self.families.get()
            && let Some([latency, exceptions]) =
                cache::get_one_first_level(&families.cache, families.epoch(), value.as_bytes())
        {
            return Found { buckets: families.buckets(), latency, exceptions };
        }
        self.find_one_second_level(value)
    }

    // A separate function, because the array would otherwise be written to the stack in each call.
    #[inline(never)]
    fn find_one_second_level(&self, value: &str) -> Found {
        Found::from(self.series_second_level(&[value]))
    }

    /// Returns all series of a call.
    #[inline]
    fn series_of<const N: usize>(&self, labels: &[Label<'_>; N]) -> Series {
        if N > 0 && labels.iter().all(|label| label.closed().is_some()) {
            return self.series_closed(labels);
        }
        let values: [&str; N] = std::array::from_fn(|at| labels[at].as_str());
        self.series(&values)
    }

    /// Returns the series for these values. Not inlined, to keep the callers small, but compiled for each number of
    /// labels, so that the loops over the values are unrolled.
    #[inline(never)]
    fn series<const N: usize>(&self, values: &[&str; N]) -> Series {
        if let Some(families) = self.families.get()
            && let Some(handles) = cache::get_first_level(&families.cache, families.epoch(), values)
        {
            return Series { handles, buckets: families.buckets() };
        }
        self.series_second_level(values)
    }

    #[inline(never)]
    fn series_second_level(&self, values: &[&str]) -> Series {
        if let Some(families) = self.families.get()
            && let Some(handles) = cache::get_second_level(&families.cache, families.epoch(), values)
        {
            return Series { handles, buckets: families.buckets() };
        }
        self.resolve(values)
    }

    /// Like [`Site::series`], for labels that all have closed sets, whose values index the dense cache.
    #[inline(never)]
    fn series_closed(&self, labels: &[Label<'_>]) -> Series {
        if let Some(families) = self.families.get()
            && let Some(dense) = families.dense.get()
            && let Some(fixed) = dense.as_ref().and_then(|dense| dense.find(labels))
            && let Some(handles) = fixed.get(families.epoch())
        {
            return Series { handles, buckets: families.buckets() };
        }
        self.series_closed_first(labels)
    }

    #[cold]
    #[inline(never)]
    fn series_closed_first(&self, labels: &[Label<'_>]) -> Series {
        let mut values = [""; MAX_LABELS];
        for (value, label) in values.iter_mut().zip(labels) {
            *value = label.as_str();
        }
        let values = &values[..labels.len().min(MAX_LABELS)];
        let Some(families) = self.families() else { return self.unresolved() };
        let epoch = families.epoch();
        let series = self.resolve(values);
        families.cache_dense(epoch, labels, values);
        series
    }
}

/// Records a call that ended because a label or family expression panicked or returned from the function.
#[cold]
fn record_panic(site: &'static Site, per_call: &PerCall<'_>) {
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
    Prepared::new(series).begin().finish(true);
}

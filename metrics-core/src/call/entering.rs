//! The start of a call: the evaluation of its labels and per-call families.
//!
//! If an expression for a label or family panics or returns from the function, the call is recorded as an exception
//! under `__overflow__`, so that the failed request is not lost.

use std::mem::{self, ManuallyDrop};

use super::beginning::{is_closed, values_of};
use super::declaration::label_source::Role;
use super::feed::series::Series;
use super::feed::target::{FeedsCount, FeedsLatency, FeedsLevel, PerCall, TargetRef};
use super::run::guard::{Prepared, TrackedCall};
use super::run::lifecycle::PendingCall;
use super::run::untracked::CallWithLabels;
use super::site::Site;
use crate::cell::Handle;
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
        match &labels[..] {
            [label] if label.closed().is_none() => site.begin_one(label.as_str()),
            labels if is_closed(labels) => site.begin_closed(labels),
            _ => site.begin_labeled(&values_of(&labels)),
        }
    }

    /// Like [`Entering::start`], for a call that can be canceled or is counted in flight.
    #[inline]
    pub fn start_tracked<const N: usize>(self, labels: [Label<'_>; N]) -> TrackedCall {
        self.into_site().begin_tracked(&labels)
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

    #[inline]
    fn with(mut self, role: Role, target: TargetRef<'a>) -> Self {
        self.per_call[role as usize] = Some(target);
        self
    }

    /// Begins the call with the values of all labels that are not fixed. The latency excludes the lookup.
    ///
    /// Such a call is not counted in flight and cannot be canceled.
    #[inline]
    pub fn start<const N: usize>(self, labels: [Label<'_>; N]) -> CallWithLabels {
        let call = self.entering.site.begin_with(&labels, &self.per_call);
        mem::forget(self);
        call
    }

    /// Like [`EnteringWith::start`], for a call that can be canceled or is counted in flight.
    #[inline]
    pub fn start_tracked<const N: usize>(self, labels: [Label<'_>; N]) -> TrackedCall {
        let call = self.entering.site.begin_tracked_with(&labels, &self.per_call);
        mem::forget(self);
        call
    }

    /// Like [`EnteringWith::start_tracked`], for a call that begins later.
    pub fn prepare<const N: usize>(self, labels: [Label<'_>; N]) -> Prepared {
        let (site, per_call) = self.into_borrowed();
        let values = values_of(&labels);
        Prepared::new(site.find_with(&values, &per_call).unwrap_or_else(|| site.resolve_with(&values, &per_call)))
    }

    /// Disarms the guard once the labels are evaluated. The caller must then record the call.
    #[inline]
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
}

/// Records a call that ended because a label or family expression panicked or returned from the function.
#[cold]
fn record_panic(site: &'static Site, per_call: &PerCall<'_>) {
    InternalError::LabelPanic.record(&site.location);
    let mut series = match site.families() {
        Some(families) => Series { handles: families.overflow(&Role::ALL), buckets: families.buckets() },
        None => site.unresolved(),
    };
    for (role, target) in Role::ALL.into_iter().zip(per_call) {
        let Some(target) = target else { continue };
        if let Role::Exceptions | Role::Cancelled = role {
            target.mark_read_early();
        }
        series.handles[role as usize] = target.overflow();
        if role == Role::Latency {
            series.buckets = target.buckets();
        }
    }
    // The call never began, so it was never in flight.
    series.handles[Role::InFlight as usize] = Handle::NONE;
    Prepared::new(series).begin().finish(true);
}

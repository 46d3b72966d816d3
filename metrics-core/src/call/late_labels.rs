//! Calls with labels that are known only when the call ends: labels from the result, and the kind of an error.
//!
//! The guard keeps the values of the other labels (inline if at most 62 bytes long) and looks up the latency, exception
//! and cancellation series when the call ends. When the call begins, the series of all label sets known in advance are
//! created at 0, unless one of the families is more than half full. The other half is reserved for label sets that
//! actually occur. Only the exceptions have the error kind as a label, so that it does not multiply the latency series.
//! Per-call families are kept alive by reference counting, because their expressions may have returned temporaries.

use std::fmt;

use super::beginning::values_of;
use super::declaration::LateLabels;
use super::declaration::label_source::{MAX_LABELS, Role};
use super::entering::{Entering, EnteringWith};
use super::feed::series::{Series, Values};
use super::feed::target::{FeedTarget, PerCall};
use super::run::guard::{self, body_methods};
use super::run::lifecycle::{Outcome, PendingCall, Progress, RunningCall};
use super::site::Site;
use crate::cell::Handle;
use crate::clock::Moment;
use crate::label_text::LabelText;
use crate::label_value::Label;
use crate::labels::{CANCELLED, OTHER, PANIC};

/// Like [`Entering`], but for a call with labels that are known only when it ends.
#[must_use = "the call begins when `start` is called"]
pub struct EnteringByResult<E>(E);

/// A call whose families have been evaluated.
pub trait Entered {
    /// The per-call families.
    type Named: Named;

    /// Disarms the guard and returns its parts. The caller must then record the call.
    fn into_parts(self) -> (&'static Site, Self::Named);
}

/// Per-call families, held for the duration of the call.
pub trait Named {
    /// The families, indexed by [`Role`]; `None` if there are none.
    fn targets(&self) -> Option<PerCall<'_>>;
}

impl Named for () {
    #[inline]
    fn targets(&self) -> Option<PerCall<'_>> {
        None
    }
}

impl Named for [Option<FeedTarget>; Role::COUNT] {
    fn targets(&self) -> Option<PerCall<'_>> {
        Some(self.each_ref().map(|target| Some(target.as_ref()?.target())))
    }
}

impl Entering {
    /// Declares that some labels come from the result.
    #[inline]
    pub fn by_result(self) -> EnteringByResult<Self> {
        EnteringByResult(self)
    }
}

impl EnteringWith<'_> {
    /// Declares that some labels come from the result.
    #[inline]
    pub fn by_result(self) -> EnteringByResult<Self> {
        EnteringByResult(self)
    }
}

impl Entered for Entering {
    type Named = ();

    #[inline]
    fn into_parts(self) -> (&'static Site, ()) {
        (self.into_site(), ())
    }
}

impl Entered for EnteringWith<'_> {
    type Named = [Option<FeedTarget>; Role::COUNT];

    fn into_parts(self) -> (&'static Site, Self::Named) {
        let (site, per_call) = self.into_borrowed();
        (site, per_call.map(|target| Some(target?.to_owned_target())))
    }
}

impl<E: Entered> EnteringByResult<E> {
    /// Begins the call with the values of the labels that come from its arguments.
    #[inline]
    pub fn start<const N: usize>(self, labels: [Label<'_>; N]) -> CallByResult<N, E::Named> {
        let (site, named) = self.0.into_parts();
        CallByResult::begin(site, &labels, named)
    }

    /// Like [`EnteringByResult::start`], but for a call that begins later.
    #[inline]
    pub fn prepare<const N: usize>(self, labels: [Label<'_>; N]) -> PreparedByResult<N, E::Named> {
        let (site, named) = self.0.into_parts();
        let in_flight = site.in_flight_at_beginning(&values_of(&labels), named.targets().as_ref());
        PreparedByResult(LateCall { site, labels: labels.each_ref().map(LabelText::of), named, in_flight })
    }
}

/// The state of a call until it ends.
#[derive(Debug)]
struct LateCall<const N: usize, F> {
    site: &'static Site,
    /// The values of the labels that come from the arguments.
    labels: [LabelText; N],
    named: F,
    in_flight: Handle,
}

/// Like [`Prepared`](super::run::guard::Prepared), but for a call with late labels.
#[must_use = "a prepared call records nothing until it begins"]
#[derive(Debug)]
pub struct PreparedByResult<const N: usize, F: Named>(LateCall<N, F>);

impl<const N: usize, F: Named> PendingCall for PreparedByResult<N, F> {
    type Call = CallByResult<N, F>;

    #[inline]
    fn begin(self) -> CallByResult<N, F> {
        guard::enter(self.0.in_flight);
        CallByResult { start: Moment::now(), state: self.0, progress: Progress::new() }
    }
}

/// Like [`Call`](super::Call), but for a call with late labels.
#[must_use = "dropping the guard records that the call panicked or was canceled"]
pub struct CallByResult<const N: usize, F: Named> {
    start: Moment,
    state: LateCall<N, F>,
    progress: Progress,
}

/// The outcome and the late labels of a call that has returned.
#[derive(Debug)]
pub struct Ending<const R: usize> {
    exception: bool,
    labels: [LabelText; R],
    kind: Option<LabelText>,
}

impl<const R: usize> Ending<R> {
    /// Creates an ending with the labels from the result; `exception` is true if the call ended with an exception.
    #[inline]
    pub fn new(exception: bool, labels: [LabelText; R]) -> Self {
        Self { exception, labels, kind: None }
    }

    /// Sets the kind of the error, if one was returned.
    #[inline]
    #[must_use]
    pub fn kind(self, kind: Option<LabelText>) -> Self {
        Self { kind, ..self }
    }
}

impl<const N: usize, F: Named> CallByResult<N, F> {
    /// Begins a call now. Not inlined, so that the guard is made where the caller keeps it.
    #[inline(never)]
    fn begin(site: &'static Site, labels: &[Label<'_>; N], named: F) -> Self {
        let state = LateCall { site, labels: [const { LabelText::EMPTY }; N], named, in_flight: Handle::NONE };
        let mut call = Self { start: Moment::PLACEHOLDER, state, progress: Progress::new() };
        // If the lookup panics, there is nothing to record yet.
        call.progress.set_recorded();
        let values = values_of(labels);
        call.state.in_flight = site.in_flight_at_beginning(&values, call.state.named.targets().as_ref());
        for (kept, value) in call.state.labels.iter_mut().zip(values) {
            kept.set(value);
        }
        guard::enter(call.state.in_flight);
        call.progress.set_running(true);
        call.start = Moment::now();
        call
    }

    body_methods!();

    /// Ends a call that has returned.
    #[inline]
    pub fn finish<const R: usize>(&self, Ending { exception, labels, kind }: Ending<R>) {
        self.progress.set_recorded();
        let kind = match (kind.as_ref().map(LabelText::as_bytes), exception) {
            (_, false) => b"",
            // `exception_if` matched a value that is not an error, or the error has an empty kind.
            (None | Some(b""), true) => OTHER.as_bytes(),
            (Some(kind), true) => kind,
        };
        self.record(Outcome::returned(exception), labels.each_ref().map(LabelText::as_bytes), kind);
    }

    /// Records the call. `kind` is empty if the call did not end with an exception.
    #[inline]
    fn record<'v>(&'v self, outcome: Outcome, results: impl IntoIterator<Item = &'v [u8]>, kind: &'v [u8]) {
        let mut values: LateValues<'_> = [b""; MAX_LABELS];
        let labels = self.state.labels.iter().map(LabelText::as_bytes);
        // If the function has no label for the kind, the value is not used.
        let all = labels.chain(results).chain([kind]);
        values.iter_mut().zip(all).for_each(|(slot, value)| *slot = value);
        let per_call = self.state.named.targets();
        self.state.site.record_late(self.start, &values, per_call.as_ref(), self.state.in_flight, outcome);
    }
}

/// The values of one call, in UTF-8. Stored as bytes, because [`LabelText`] would have to validate a `str` on each
/// read.
pub(super) type LateValues<'v> = [&'v [u8]; MAX_LABELS];

/// Converts values of late labels to text.
pub(super) fn texts<'v>(values: &LateValues<'v>) -> Values<'v> {
    values.map(|value| str::from_utf8(value).unwrap_or_default())
}

impl Site {
    /// Returns the in-flight series of a call that is beginning with these values.
    #[inline]
    fn in_flight_at_beginning(&self, values: &[&str], per_call: Option<&PerCall<'_>>) -> Handle {
        let in_flight = match self.families.get() {
            Some(families) if families.begins_without_effects() => Handle::NONE,
            _ => self.resolve_beginning(values, per_call),
        };
        let Some(per_call) = per_call else { return in_flight };
        let mut series = Series::NONE;
        series.handles[Role::InFlight as usize] = in_flight;
        let (series, _) = self.with_per_call(values, per_call, &[Role::InFlight], |_| (series, true));
        series.handles[Role::InFlight as usize]
    }

    fn late_labels(&self) -> LateLabels {
        match self.usable_families() {
            Some(families) => families.declaration.late_labels(),
            // The call was made by an expression that initializes the families.
            None => self.declaration().late_labels(),
        }
    }

    /// Records a call with late labels. `values` holds the values from the arguments, then those from the result, then
    /// the kind, which is empty if the call was not an exception. Not inlined, to keep the callers small.
    #[inline(never)]
    fn record_late(
        &self,
        start: Moment,
        values: &LateValues<'_>,
        per_call: Option<&PerCall<'_>>,
        in_flight: Handle,
        outcome: Outcome,
    ) {
        let mut series = match per_call {
            None => self.resolve_end(values),
            Some(per_call) => self.resolve_end_with(values, per_call),
        };
        series.handles[Role::InFlight as usize] = in_flight;
        guard::record(start, &series, outcome);
    }
}

impl<const N: usize, const R: usize, F: Named> RunningCall<Ending<R>> for CallByResult<N, F> {
    #[inline]
    fn progress(&self) -> &Progress {
        &self.progress
    }

    #[inline]
    fn finish(&self, ending: Ending<R>) {
        self.finish(ending);
    }
}

impl<const N: usize, F: Named> Drop for CallByResult<N, F> {
    fn drop(&mut self) {
        if self.progress.is_recorded() {
            return;
        }
        let (outcome, result, kind) = match self.progress.dropped() {
            Outcome::Cancelled => (Outcome::Cancelled, CANCELLED, ""),
            outcome => (outcome, PANIC, PANIC),
        };
        let (result, kind) = (result.as_bytes(), kind.as_bytes());
        let results = self.state.site.late_labels().results;
        self.record(outcome, std::iter::repeat_n(result, results), kind);
    }
}

impl<const N: usize, F: Named> fmt::Debug for CallByResult<N, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallByResult").field("start", &self.start).finish_non_exhaustive()
    }
}

//! The beginning of a call: the lookup of its series in the thread's cache, and its guard.
//!
//! Each lookup calls separate functions on the paths that few calls take. If one function obtained the handles in two
//! branches, it would pass them through memory, storing them word by word and loading them in pairs. The resulting
//! failure of store-to-load forwarding would stall the processor for longer than the whole lookup takes.

use super::declaration::label_source::MAX_LABELS;
use super::feed::series::Series;
use super::feed::target::PerCall;
use super::run::guard::{AsyncCall, Prepared, PreparedAsync, TrackedCall};
use super::run::untracked::{Call, CallWithLabels};
use super::site::Site;
use crate::cache;
use crate::cell::{Buckets, Handle};
use crate::clock::Moment;
use crate::label_value::Label;

impl Site {
    /// Begins a call to a function whose labels are all fixed.
    #[inline]
    pub fn start(&'static self) -> Call {
        Call::new(self, self.begin())
    }

    /// Like [`Site::start`], for an `async` call that is not counted in flight.
    #[inline]
    pub fn start_async(&'static self) -> AsyncCall {
        AsyncCall::new(self, self.begin())
    }

    /// Prepares an `async` call that begins later and is not counted in flight. Initializes the families.
    #[inline]
    pub fn prepare_async(&'static self) -> PreparedAsync {
        if self.is_new() {
            self.initialize_fixed();
        }
        PreparedAsync(self)
    }

    // The functions that look up series return the whole guard. A caller that moved the series into a guard would do so
    // with wide loads of words that were just stored one by one, which stalls on store forwarding.

    /// Like [`Site::start`], for a call that is counted in flight.
    #[inline(never)]
    pub fn start_tracked(&'static self) -> TrackedCall {
        match self.known_fixed() {
            Some(series) => TrackedCall::begin(series),
            None => self.start_tracked_first(),
        }
    }

    #[cold]
    #[inline(never)]
    fn start_tracked_first(&self) -> TrackedCall {
        TrackedCall::begin(self.resolve_fixed())
    }

    /// Like [`Site::start_tracked`], for these labels. Compiled for each number of labels, like [`Site::series`].
    #[inline(never)]
    pub(super) fn begin_tracked<const N: usize>(&self, labels: &[Label<'_>; N]) -> TrackedCall {
        let found = match labels.as_slice() {
            [label] if label.closed().is_none() => {
                self.find_first_level_one(label.as_str()).map(|(handles, buckets)| Series { handles, buckets })
            }
            _ if is_closed(labels) => self.find_closed(labels),
            _ => self.find_first_level(&values_of(labels)),
        };
        match found {
            Some(series) => TrackedCall::begin(series),
            None => self.begin_tracked_slowly(labels),
        }
    }

    #[cold]
    #[inline(never)]
    fn begin_tracked_slowly<const N: usize>(&self, labels: &[Label<'_>; N]) -> TrackedCall {
        TrackedCall::begin(self.series_of(labels))
    }

    /// Like [`Site::begin_tracked`], for a call that has evaluated some of its families.
    #[inline(never)]
    pub(super) fn begin_tracked_with<const N: usize>(
        &self,
        labels: &[Label<'_>; N],
        per_call: &PerCall<'_>,
    ) -> TrackedCall {
        let values = values_of(labels);
        match self.find_with(&values, per_call) {
            Some(series) => TrackedCall::begin(series),
            None => TrackedCall::begin(self.resolve_with(&values, per_call)),
        }
    }

    /// Begins a call with a single label that has no closed set. Not inlined, to keep the callers small.
    #[inline(never)]
    pub(super) fn begin_one(&self, value: &str) -> CallWithLabels {
        match self.find_first_level_one(value) {
            Some(([latency, exceptions], buckets)) => CallWithLabels::begin(latency, exceptions, buckets),
            None => self.begin_one_slowly(value),
        }
    }

    /// Like [`Site::begin_one`], for a value that it has not found, such as a long one. A separate function, because
    /// the array would otherwise be written to the stack in each call.
    #[cold]
    #[inline(never)]
    fn begin_one_slowly(&self, value: &str) -> CallWithLabels {
        match self.find_first_level(&[value]) {
            Some(series) => CallWithLabels::begin_in(series),
            None => CallWithLabels::begin_in(self.series_second_level(&[value])),
        }
    }

    /// Begins a call with these values. Compiled for each number of labels, like [`Site::series`].
    #[inline(never)]
    pub(super) fn begin_labeled<const N: usize>(&self, values: &[&str; N]) -> CallWithLabels {
        match self.find_first_level(values) {
            Some(series) => CallWithLabels::begin_in(series),
            None => self.begin_labeled_slowly(values),
        }
    }

    #[cold]
    #[inline(never)]
    fn begin_labeled_slowly(&self, values: &[&str]) -> CallWithLabels {
        CallWithLabels::begin_in(self.series_second_level(values))
    }

    /// Begins a call with labels that all have closed sets.
    #[inline(never)]
    pub(super) fn begin_closed(&self, labels: &[Label<'_>]) -> CallWithLabels {
        match self.find_closed(labels) {
            Some(series) => CallWithLabels::begin_in(series),
            None => CallWithLabels::begin_in(self.series_closed_first(labels)),
        }
    }

    /// Begins a call that has evaluated some of its families.
    #[inline(never)]
    pub(super) fn begin_with<const N: usize>(&self, labels: &[Label<'_>; N], per_call: &PerCall<'_>) -> CallWithLabels {
        let values = values_of(labels);
        match self.find_with(&values, per_call) {
            Some(series) => CallWithLabels::begin_in(series),
            None => CallWithLabels::begin_in(self.resolve_with(&values, per_call)),
        }
    }

    /// Like [`Site::start_tracked`], for a call that begins later.
    pub fn prepare(&'static self) -> Prepared {
        match self.known_fixed() {
            Some(series) => Prepared::new(series),
            None => self.prepare_first(),
        }
    }

    #[cold]
    #[inline(never)]
    fn prepare_first(&self) -> Prepared {
        Prepared::new(self.resolve_fixed())
    }

    #[inline]
    fn known_fixed(&self) -> Option<Series> {
        let families = self.families.get()?;
        Some(Series { handles: families.known_fixed()?, buckets: families.buckets() })
    }

    /// Returns the time at which a call begins whose labels are all fixed. The first call initializes the families
    /// first, so the latency excludes this. Not inlined, to keep the callers small.
    fn begin(&'static self) -> Moment {
        if self.is_new() { self.begin_first() } else { Moment::now() }
    }

    #[cold]
    #[inline(never)]
    fn begin_first(&'static self) -> Moment {
        self.initialize_fixed();
        Moment::now()
    }

    #[cold]
    #[inline(never)]
    fn initialize_fixed(&self) {
        match self.families() {
            Some(families) => families.create_fixed(),
            None => drop(self.unresolved()),
        }
    }

    /// Returns all series of a call.
    #[inline]
    pub(super) fn series_of<const N: usize>(&self, labels: &[Label<'_>; N]) -> Series {
        if is_closed(labels) {
            return self.series_closed(labels);
        }
        self.series(&values_of(labels))
    }

    /// Returns the series for these values. Not inlined, to keep the callers small, but compiled for each number of
    /// labels, so that the loops over the values are unrolled.
    #[inline(never)]
    fn series<const N: usize>(&self, values: &[&str; N]) -> Series {
        match self.find_first_level(values) {
            Some(series) => series,
            None => self.series_second_level(values),
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that the handles stay in registers")]
    fn find_first_level<const N: usize>(&self, values: &[&str; N]) -> Option<Series> {
        let families = self.families.get()?;
        let handles = cache::get_first_level(&families.cache, families.epoch(), values)?;
        Some(Series { handles, buckets: families.buckets() })
    }

    /// The first `H` handles for a single value, and the buckets of the latency.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that the handles stay in registers")]
    fn find_first_level_one<const H: usize>(&self, value: &str) -> Option<([Handle; H], Option<&'static Buckets>)> {
        let families = self.families.get()?;
        let handles = cache::get_one_first_level(&families.cache, families.epoch(), value.as_bytes())?;
        Some((handles, families.buckets()))
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
        match self.find_closed(labels) {
            Some(series) => series,
            None => self.series_closed_first(labels),
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that the handles stay in registers")]
    fn find_closed(&self, labels: &[Label<'_>]) -> Option<Series> {
        let families = self.families.get()?;
        let fixed = families.dense.get()?.as_ref()?.find(labels)?;
        Some(Series { handles: fixed.get(families.epoch())?, buckets: families.buckets() })
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

/// An array, because an iterator would be slow in a debug build.
#[inline]
pub(super) fn values_of<'a, const N: usize>(labels: &'a [Label<'_>; N]) -> [&'a str; N] {
    let mut values = [""; N];
    let mut at = 0;
    while at < N {
        values[at] = labels[at].as_str();
        at += 1;
    }
    values
}

/// Returns true if there are labels and all of them have closed sets.
#[inline]
pub(super) fn is_closed(labels: &[Label<'_>]) -> bool {
    !labels.is_empty() && labels.iter().all(|label| label.closed().is_some())
}

//! Exemplars. An exemplar is one of the events that a counter or a classic bucket has counted, labeled with its trace.
//!
//! Each counter and each bucket keeps its latest exemplar and takes a new one at most once per second, so a call
//! usually only compares the time with the bucket's next sampling time ([`access::exemplar_time`]). When an exemplar is
//! due, the thread that advances the sampling time calls the source of the labels without holding a lock, and then
//! stores the exemplar. It spins only briefly for the lock: if another thread keeps holding it, the exemplar is
//! dropped, and a later call tries again.
//!
//! The exemplars of a series are keyed by its handle and removed when it ends, and its sampling times are reset. If a
//! thread takes an exemplar at that moment, the first exemplar of the series that reuses the slot may be delayed by a
//! second.

mod kept;
#[cfg(feature = "opentelemetry")]
mod opentelemetry;
#[cfg(feature = "tracing")]
pub(crate) mod tracing;

use std::cell::Cell;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::cell::{Buckets, Handle, access};
use crate::clock::Moment;
use crate::internal::InternalError;
use crate::label_value::LabelValue;
use crate::labels;
use crate::logging::guarded;
pub(crate) use kept::{KeptExemplar, forget, read};

/// The minimum time between two exemplars of a bucket, in seconds.
const INTERVAL: f64 = 1.0;
/// The minimum time until the source is called again if it had no labels, in seconds. It is short because a service may
/// trace only a few of its requests.
const RETRY_INTERVAL: f64 = 0.001;
/// The maximum number of characters in the names and values of an exemplar's labels, as defined by OpenMetrics.
const MAX_CHARS: usize = 128;

/// The position of a counter's only exemplar.
const OF_COUNTER: usize = 0;

/// The name and the value of a label.
pub(crate) type Pair = (String, String);
type Source = Box<dyn Fn() -> Vec<Pair> + Send + Sync>;

static SOURCE: OnceLock<Source> = OnceLock::new();

/// The source of exemplars, as named in log messages.
const SOURCE_NAME: &str = "the source of exemplars";

thread_local! {
    /// True while this thread runs the source, which may call [`current_exemplar`] itself.
    static IS_ASKING: Cell<bool> = const { Cell::new(false) };
}

/// Sets the function that returns the labels of the current trace, from which
/// [`#[instrument]`](macro@crate::instrument) and [`RequestMetrics`](crate::guide::exemplars) take exemplars.
///
/// It replaces the sources of the `opentelemetry` and `tracing` features. Returns false, and changes nothing, if the
/// program has already set a source.
///
/// The function runs on the recording thread, usually at most once per second for each counter and bucket. If it
/// returns `None` or the exemplar could not be stored, it is called again, at most 1,000 times per second. If it
/// panics, or if its labels are invalid, the call is counted without an exemplar, and the error is counted in
/// `metrics_core_internal_errors_total`. See [`guide::exemplars`](crate::guide::exemplars).
///
/// # Example: IDs from another tracing library
///
/// ```
/// use std::cell::RefCell;
///
/// thread_local! {
///     static TRACE_ID: RefCell<Option<String>> = const { RefCell::new(None) };
/// }
///
/// metrics_core::set_exemplar_source(|| {
///     let id = TRACE_ID.with_borrow(Clone::clone)?;
///     Some([("trace_id", id)])
/// });
/// ```
pub fn set_exemplar_source<L, N, V>(source: impl Fn() -> Option<L> + Send + Sync + 'static) -> bool
where
    L: IntoIterator<Item = (N, V)>,
    N: AsRef<str>,
    V: LabelValue,
{
    SOURCE.set(Box::new(move || source().map(pairs).unwrap_or_default())).is_ok()
}

/// Returns the labels of the current trace, for use with
/// [`observe_with_exemplar`](crate::Histogram::observe_with_exemplar) and
/// [`inc_with_exemplar`](crate::Counter::inc_with_exemplar).
///
/// They come from the function passed to [`set_exemplar_source`]. If none is set, they come from the current span,
/// which requires the `opentelemetry` or `tracing` feature. The list is empty if no trace is active.
///
/// # Example: an observation that links to its trace
///
/// ```
/// use metrics_core::{Histogram, current_exemplar};
///
/// let sizes = Histogram::builder("upload_size_bytes", "Size of uploads.").buckets([1e3, 1e6]).build();
/// sizes.observe_with_exemplar(20_000, current_exemplar);
/// assert_eq!(sizes.count(), 1);
/// ```
#[must_use]
pub fn current_exemplar() -> Vec<(String, String)> {
    struct Asked;
    impl Drop for Asked {
        fn drop(&mut self) {
            IS_ASKING.set(false);
        }
    }
    if IS_ASKING.replace(true) {
        return Vec::new();
    }
    let _asked = Asked;
    if let Some(source) = SOURCE.get() {
        return source();
    }
    #[cfg(feature = "opentelemetry")]
    if let Some(ids) = opentelemetry::current() {
        return pairs(ids);
    }
    #[cfg(feature = "tracing")]
    if let Some(ids) = tracing::current() {
        return ids;
    }
    Vec::new()
}

fn pairs<N: AsRef<str>, V: LabelValue>(labels: impl IntoIterator<Item = (N, V)>) -> Vec<Pair> {
    // More labels are invalid, because each name has at least one character.
    let labels = labels.into_iter().take(MAX_CHARS + 1);
    labels.map(|(name, value)| (name.as_ref().to_owned(), value.label().as_str().to_owned())).collect()
}

/// Returns true if annotated functions and layers take exemplars.
#[inline]
pub(crate) fn has_source() -> bool {
    cfg!(any(feature = "opentelemetry", feature = "tracing")) || SOURCE.get().is_some()
}

/// Takes an exemplar of an observation if one is due. `place` identifies the caller in log messages.
pub(crate) fn observed<L, N, V>(
    handle: Handle,
    buckets: &Buckets,
    value: f64,
    labels: impl FnOnce() -> L,
    place: &dyn fmt::Display,
) where
    L: IntoIterator<Item = (N, V)>,
    N: AsRef<str>,
    V: LabelValue,
{
    take_if_due(handle, buckets.classic_of(value), value, || pairs(labels()), place);
}

/// Takes an exemplar of an increment if one is due.
pub(crate) fn counted<L, N, V>(handle: Handle, amount: f64, labels: impl FnOnce() -> L, place: &dyn fmt::Display)
where
    L: IntoIterator<Item = (N, V)>,
    N: AsRef<str>,
    V: LabelValue,
{
    take_if_due(handle, OF_COUNTER, amount, || pairs(labels()), place);
}

#[inline]
fn take_if_due(
    handle: Handle,
    bucket: usize,
    value: f64,
    labels: impl FnOnce() -> Vec<Pair>,
    place: &dyn fmt::Display,
) {
    // The first use of the clock may call an allocator that takes exemplars.
    if let Some(now) = access::unless_allocating(Moment::now)
        && is_due(handle, bucket, now)
    {
        take(handle, bucket, value, now, labels, place);
    }
}

/// Takes an exemplar of an observation from the current trace if one is due. Does nothing for a summary.
#[inline]
pub(crate) fn observed_in_trace(handle: Handle, buckets: &Buckets, value: f64, now: Moment) {
    if has_source() && buckets.classic() > 0 {
        let bucket = buckets.classic_of(value);
        if is_due(handle, bucket, now) {
            take(handle, bucket, value, now, current_exemplar, &SOURCE_NAME);
        }
    }
}

/// Takes an exemplar of an increment by 1 from the current trace if one is due.
#[inline]
pub(crate) fn counted_in_trace(handle: Handle, now: Moment) {
    if has_source() {
        take_for_count(handle, now);
    }
}

/// Takes an exemplar of an increment by 1 if one is due. Not inlined, so that a program without a source does not
/// reserve registers for it in each call.
#[inline(never)]
fn take_for_count(handle: Handle, now: Moment) {
    if is_due(handle, OF_COUNTER, now) {
        take(handle, OF_COUNTER, 1.0, now, current_exemplar, &SOURCE_NAME);
    }
}

/// Returns the labels of the current trace if an exemplar of this observation, or of an increment if there are no
/// buckets, is due. The caller keeps the exemplar later, with [`keep_trace`].
#[cfg_attr(not(any(feature = "tower", feature = "actix")), allow(dead_code, reason = "only layers use it"))]
pub(crate) fn trace_if_due(handle: Handle, buckets: Option<&Buckets>, value: f64) -> Vec<Pair> {
    let (bucket, now) = (buckets.map_or(OF_COUNTER, |buckets| buckets.classic_of(value)), Moment::now());
    if !is_due(handle, bucket, now) {
        return Vec::new();
    }
    let asked = claim(handle, bucket, now).and_then(|time| {
        let labels = ask(time, now, current_exemplar, &SOURCE_NAME)?;
        // The event may never be recorded, or it may fall into another bucket, so another sample is due soon.
        retry_soon(time, now);
        Some(labels)
    });
    asked.unwrap_or_default()
}

/// Keeps an exemplar of an observation, or of an increment if there are no buckets, with the labels of an earlier
/// trace.
#[cfg_attr(not(any(feature = "tower", feature = "actix")), allow(dead_code, reason = "only layers use it"))]
pub(crate) fn keep_trace(handle: Handle, buckets: Option<&Buckets>, value: f64, trace: &[Pair]) {
    let (bucket, now) = (buckets.map_or(OF_COUNTER, |buckets| buckets.classic_of(value)), Moment::now());
    if let Some(time) = make_time(handle, bucket) {
        time.store(now.after(INTERVAL).ticks(), Ordering::Relaxed);
        keep(handle, bucket, value, trace, &SOURCE_NAME, time, now);
    }
}

/// Returns true if an exemplar is due. A sampling time too far in the future means that the clock was set back, for
/// example because a virtual machine was restored; an exemplar is due then, too.
#[inline]
fn is_due(handle: Handle, bucket: usize, now: Moment) -> bool {
    /// A number of ticks that is far more than the interval at any clock frequency.
    const TOO_FAR: u64 = 1 << 36;
    access::exemplar_time(handle, bucket).is_none_or(|time| {
        let left = time.load(Ordering::Relaxed).wrapping_sub(now.ticks());
        left == 0 || left > TOO_FAR
    })
}

/// Takes the exemplar that is due, unless another thread is already taking it.
#[cold]
fn take(
    handle: Handle,
    bucket: usize,
    value: f64,
    now: Moment,
    labels: impl FnOnce() -> Vec<Pair>,
    place: &dyn fmt::Display,
) {
    if let Some(time) = claim(handle, bucket, now)
        && let Some(labels) = ask(time, now, labels, place)
    {
        keep(handle, bucket, value, &labels, place, time, now);
    }
}

/// Advances the sampling time, if an exemplar is due. Returns `None` if another thread has advanced it, or if the
/// series has ended.
fn claim(handle: Handle, bucket: usize, now: Moment) -> Option<&'static AtomicU64> {
    let time = make_time(handle, bucket)?;
    let due = time.load(Ordering::Relaxed);
    let next = now.after(INTERVAL).ticks();
    let is_first =
        is_due(handle, bucket, now) && time.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    is_first.then_some(time)
}

fn make_time(handle: Handle, bucket: usize) -> Option<&'static AtomicU64> {
    access::unless_allocating(|| access::make_exemplar_time(handle, bucket)).flatten()
}

/// Calls the source. Returns `None` if it returns no labels or panics.
fn ask(
    time: &AtomicU64,
    now: Moment,
    labels: impl FnOnce() -> Vec<Pair>,
    place: &dyn fmt::Display,
) -> Option<Vec<Pair>> {
    match guarded(labels) {
        None => {
            InternalError::ExemplarPanic.record(place);
            None
        }
        Some(labels) if labels.is_empty() => {
            retry_soon(time, now);
            None
        }
        labels => labels,
    }
}

fn retry_soon(time: &AtomicU64, now: Moment) {
    time.store(now.after(RETRY_INTERVAL).ticks(), Ordering::Relaxed);
}

/// Stores an exemplar, unless its labels are invalid or the series has ended.
fn keep(
    handle: Handle,
    bucket: usize,
    value: f64,
    labels: &[Pair],
    place: &dyn fmt::Display,
    time: &AtomicU64,
    now: Moment,
) {
    let labels = match text(labels) {
        Ok(text) => text,
        Err(cause) => return InternalError::InvalidExemplar.record_cause(place, &cause),
    };
    let exemplar = KeptExemplar { bucket, labels: labels.into(), value, timestamp: SystemTime::now() };
    if !kept::insert(handle, exemplar) {
        retry_soon(time, now);
    }
}

/// Returns the labels as escaped text, or the reason why they are invalid.
fn text(pairs: &[Pair]) -> Result<String, String> {
    let mut text = String::new();
    let mut chars = 0;
    for (at, (name, value)) in pairs.iter().enumerate() {
        if !labels::is_label_name(name) {
            return Err(format!("{name:?} is not a valid label name"));
        }
        if pairs[..at].iter().any(|(earlier, _)| earlier == name) {
            return Err(format!("the label {name:?} occurs twice"));
        }
        // Prometheus rejects the whole scrape.
        if value.contains('\0') {
            return Err(format!("the label {name:?} contains a null character"));
        }
        chars += name.chars().count() + value.chars().count();
        labels::push_pair(&mut text, 0, name, value);
    }
    if chars > MAX_CHARS {
        return Err(format!("its names and values have {chars} characters, but at most {MAX_CHARS} are allowed"));
    }
    Ok(text)
}

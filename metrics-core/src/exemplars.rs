//! Exemplars: an example of what a counter or a classic bucket has counted, labeled with the trace that it belongs to.
//!
//! Each counter and each bucket keeps its latest exemplar and takes a new one at most once per second, so a call usually
//! only compares the time with the bucket's next sampling time ([`access::exemplar_time`]). When an exemplar is due, the
//! thread that advances the sampling time calls the source of the labels, without holding a lock, and then stores the
//! exemplar. Like an allocator, this takes a lock that is never held for more than one series.
//!
//! The exemplars of a series are keyed by its handle and removed when it ends, and its sampling times are reset. If a
//! thread takes an exemplar at that moment, the first exemplar of the series that reuses the slot may be delayed by a
//! second.

#[cfg(feature = "opentelemetry")]
mod opentelemetry;
#[cfg(feature = "tracing")]
pub(crate) mod tracing;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use crate::cell::{Buckets, Handle, access};
use crate::clock::Moment;
use crate::internal::InternalError;
use crate::label_value::LabelValue;
use crate::labels;
use crate::lock::lock;
use crate::logging::guarded;
use crate::per_process::PerProcess;
use crate::sample::{Exemplar, Labels};

/// The minimum time between two exemplars of a bucket, in seconds.
const INTERVAL: f64 = 1.0;
/// The minimum time until the source is called again if it had no labels, in seconds. It is short because a service may
/// trace only a few of its requests.
const RETRY_INTERVAL: f64 = 0.001;
/// The maximum number of characters in the names and values of an exemplar's labels, as defined by OpenMetrics.
const MAX_CHARS: usize = 128;

/// The position of a counter's only exemplar.
const OF_COUNTER: usize = 0;

/// The latest exemplar of a bucket or counter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KeptExemplar {
    /// The position of the classic bucket; 0 for counters.
    pub(crate) bucket: usize,
    /// The labels as escaped text.
    pub(crate) labels: Arc<str>,
    pub(crate) value: f64,
    pub(crate) timestamp: SystemTime,
}

impl KeptExemplar {
    /// Borrows the exemplar, to pass it to a visitor.
    pub(crate) fn show(&self) -> Exemplar<'_> {
        let Self { bucket, labels, value, timestamp } = self;
        Exemplar { bucket: *bucket, labels: Labels::new("", labels), value: *value, timestamp: *timestamp }
    }
}

/// The exemplars by series and bucket.
type Kept = Mutex<BTreeMap<(u64, usize), KeptExemplar>>;

static KEPT: PerProcess<Kept> = PerProcess::new();
/// True once any series has had an exemplar.
static ANY: AtomicBool = AtomicBool::new(false);

/// The name and the value of a label.
pub(crate) type Pair = (String, String);
type Source = Arc<dyn Fn() -> Vec<Pair> + Send + Sync>;

static SOURCE: RwLock<Option<Source>> = RwLock::new(None);
/// True if annotated functions and layers take exemplars.
static HAS_SOURCE: AtomicBool = AtomicBool::new(cfg!(any(feature = "opentelemetry", feature = "tracing")));

/// Sets the function that returns the labels of the current trace, from which
/// [`#[instrument]`](macro@crate::instrument) and [`RequestMetrics`](crate::guide::exemplars) take exemplars.
///
/// The function runs on the thread that records, at most once per second for each counter and bucket, or up to 1,000
/// times per second while it returns `None`. It replaces the functions of the `opentelemetry` and `tracing` features
/// and any function set earlier. If it panics, or if its labels are invalid, the call is counted without an exemplar,
/// and the error is counted in `metrics_core_internal_errors_total`.
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
pub fn set_exemplar_source<L, N, V>(source: impl Fn() -> Option<L> + Send + Sync + 'static)
where
    L: IntoIterator<Item = (N, V)>,
    N: AsRef<str>,
    V: LabelValue,
{
    let source: Source = Arc::new(move || source().map(pairs).unwrap_or_default());
    let replaced = SOURCE.write().unwrap_or_else(PoisonError::into_inner).replace(source);
    HAS_SOURCE.store(true, Ordering::Relaxed);
    // Dropped without the lock, because the function may own user types.
    drop(replaced);
}

/// Returns the labels of the current trace, for use with
/// [`observe_with_exemplar`](crate::Histogram::observe_with_exemplar) and
/// [`inc_with_exemplar`](crate::Counter::inc_with_exemplar).
///
/// They come from the function passed to [`set_exemplar_source`], or else from the current span of the `opentelemetry`
/// or `tracing` feature. The list is empty if no trace is active.
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
    // If another thread is setting the source, this thread does not wait for it.
    let set = SOURCE.try_read().map_or_else(|_| None, |source| source.clone());
    if let Some(source) = set {
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
    labels.into_iter().map(|(name, value)| (name.as_ref().to_owned(), value.label().as_str().to_owned())).collect()
}

/// Takes an exemplar of an observation if one is due. `place` identifies the caller in log messages.
#[inline]
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
    let (bucket, now) = (buckets.classic_of(value), Moment::now());
    if is_due(handle, bucket, now) {
        let labels = || pairs(labels());
        take(handle, bucket, value, now, labels, place);
    }
}

/// Takes an exemplar of an increment if one is due.
#[inline]
pub(crate) fn counted<L, N, V>(handle: Handle, amount: f64, labels: impl FnOnce() -> L, place: &dyn fmt::Display)
where
    L: IntoIterator<Item = (N, V)>,
    N: AsRef<str>,
    V: LabelValue,
{
    let now = Moment::now();
    if is_due(handle, OF_COUNTER, now) {
        let labels = || pairs(labels());
        take(handle, OF_COUNTER, amount, now, labels, place);
    }
}

/// Takes an exemplar of an observation from the current trace, or else from `earlier`, if one is due. Does nothing for a
/// summary.
#[inline]
pub(crate) fn observed_in_trace(handle: Handle, buckets: &Buckets, value: f64, now: Moment, earlier: &[Pair]) {
    if HAS_SOURCE.load(Ordering::Relaxed) && buckets.classic() > 0 {
        let bucket = buckets.classic_of(value);
        if is_due(handle, bucket, now) {
            take_from_trace(handle, bucket, value, now, earlier);
        }
    }
}

/// Takes an exemplar of an increment by 1 from the current trace, or else from `earlier`, if one is due.
#[inline]
pub(crate) fn counted_in_trace(handle: Handle, now: Moment, earlier: &[Pair]) {
    if HAS_SOURCE.load(Ordering::Relaxed) && is_due(handle, OF_COUNTER, now) {
        take_from_trace(handle, OF_COUNTER, 1.0, now, earlier);
    }
}

/// Returns the labels of the current trace if an exemplar of this observation, or of an increment if there are no
/// buckets, would be due now.
#[cfg_attr(not(any(feature = "tower", feature = "actix")), allow(dead_code, reason = "only layers use it"))]
pub(crate) fn trace_if_due(handle: Handle, buckets: Option<&Buckets>, value: f64) -> Vec<Pair> {
    let bucket = buckets.map_or(OF_COUNTER, |buckets| buckets.classic_of(value));
    if HAS_SOURCE.load(Ordering::Relaxed) && is_due(handle, bucket, Moment::now()) {
        // If the source panics, the panic is counted at the end of the request.
        guarded(current_exemplar).unwrap_or_default()
    } else {
        Vec::new()
    }
}

#[cold]
fn take_from_trace(handle: Handle, bucket: usize, value: f64, now: Moment, earlier: &[Pair]) {
    let labels = || {
        let current = current_exemplar();
        if current.is_empty() { earlier.to_vec() } else { current }
    };
    take(handle, bucket, value, now, labels, &"the source of exemplars");
}

#[inline]
fn is_due(handle: Handle, bucket: usize, now: Moment) -> bool {
    access::exemplar_time(handle, bucket).is_none_or(|time| now.ticks() >= time.load(Ordering::Relaxed))
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
    let Some(time) = access::make_exemplar_time(handle, bucket) else { return };
    let due = time.load(Ordering::Relaxed);
    let next = now.after(INTERVAL).ticks();
    if now.ticks() < due || time.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_err() {
        return;
    }
    let Some(labels) = guarded(labels) else { return InternalError::ExemplarPanic.record(place) };
    if labels.is_empty() {
        time.store(now.after(RETRY_INTERVAL).ticks(), Ordering::Relaxed);
        return;
    }
    let labels = match text(&labels) {
        Ok(text) => text,
        Err(cause) => return InternalError::InvalidExemplar.record_cause(place, &cause),
    };
    let exemplar = KeptExemplar { bucket, labels: labels.into(), value, timestamp: SystemTime::now() };
    // An allocator that takes exemplars may be called while this thread holds the lock.
    access::unless_allocating(|| {
        let mut kept = lock(KEPT.get());
        // The series ends before its exemplars are removed, so none is added afterwards.
        if access::is_live(handle) {
            ANY.store(true, Ordering::Relaxed);
            kept.insert((handle.word(), bucket), exemplar);
        }
    });
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
        chars += name.chars().count() + value.chars().count();
        labels::push_pair(&mut text, 0, name, value);
    }
    if chars > MAX_CHARS {
        return Err(format!("its names and values have {chars} characters, but at most {MAX_CHARS} are allowed"));
    }
    Ok(text)
}

/// Removes the exemplars of a series that has ended, and resets its sampling times.
pub(crate) fn forget(handle: Handle, buckets: usize) {
    for time in (0..buckets).filter_map(|bucket| access::exemplar_time(handle, bucket)) {
        time.store(0, Ordering::Relaxed);
    }
    if ANY.load(Ordering::Relaxed) {
        access::unless_allocating(|| {
            let mut kept = lock(KEPT.get());
            for bucket in 0..buckets {
                kept.remove(&(handle.word(), bucket));
            }
        });
    }
}

/// Appends the exemplars of each series, preceded by the position of the series in `handles`.
pub(crate) fn read(handles: &[Handle], exemplars: &mut Vec<(usize, KeptExemplar)>) {
    if ANY.load(Ordering::Relaxed) {
        let kept = KEPT.get();
        for (position, handle) in handles.iter().enumerate() {
            let range = (handle.word(), 0)..=(handle.word(), usize::MAX);
            access::unless_allocating(|| {
                exemplars.extend(lock(kept).range(range).map(|(_, exemplar)| (position, exemplar.clone())));
            });
        }
    }
}

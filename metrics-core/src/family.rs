//! Families: metrics with labels, one series per label set.

pub(crate) mod core;
pub(crate) mod declaration;
mod full_filter;
mod index;
pub(crate) mod overflow;
pub(crate) mod table;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

pub(crate) use self::core::FamilyCore;
pub(crate) use declaration::FamilyDeclaration;

use crate::label_value::Label;
use crate::metric::Metric;

/// A metric with `N` labels: one series of type `M` for each set of label values.
///
/// Cloning a family is cheap, and the clone refers to the same series. Passing the wrong number of label values is a
/// compile error:
///
/// ```compile_fail
/// use metrics_core::Counter;
///
/// let requests = Counter::builder("requests_total", "Requests.").labels(["path", "method"]).build();
/// requests.labels(["/foo"]).inc();
/// ```
///
/// # Example: a counter with labels
///
/// ```
/// use metrics_core::Counter;
///
/// let requests = Counter::builder("requests_total", "Requests.").labels(["path", "method"]).build();
/// requests.labels(["/foo", "GET"]).inc();
/// assert_eq!(requests.labels(["/foo", "GET"]).value(), 1.0);
/// assert!(requests.get(["/bar", "GET"]).is_none());
/// ```
pub struct Family<M, const N: usize> {
    pub(crate) core: Arc<FamilyCore>,
    metric: PhantomData<fn() -> M>,
}

impl<M: Metric, const N: usize> Family<M, N> {
    pub(crate) fn from_core(core: Arc<FamilyCore>) -> Self {
        Self { core, metric: PhantomData }
    }

    /// Returns the series with these label values, creating it at 0 if it does not exist.
    ///
    /// Once the family has `max_series` series, new label sets are counted in the overflow series, whose label values
    /// are all `__overflow__`. So are label sets with a value longer than 1,024 bytes. Each such lookup increments
    /// `metrics_core_overflowed_total{family}`.
    ///
    /// Values are strings: pass `&status.to_string()` for a number. The accessors of a struct that derives
    /// [`Metrics`](macro@crate::Metrics) accept any [`LabelValue`](crate::LabelValue) and do not allocate.
    #[inline]
    pub fn labels(&self, values: [&str; N]) -> M {
        M::from_cell(self.core.resolve(&values), self.core.declaration.buckets, None)
    }

    /// Like [`Family::labels`], but returns `None` instead of the overflow series.
    #[cfg_attr(not(any(feature = "tower", feature = "actix")), allow(dead_code, reason = "only the layers use it"))]
    pub(crate) fn within_cap(&self, values: [&str; N]) -> Option<M> {
        let handle = self.core.resolve_within_cap(&values)?;
        Some(M::from_cell(handle, self.core.declaration.buckets, None))
    }

    /// Returns true if `other` is the same family.
    #[cfg_attr(not(any(feature = "tower", feature = "actix")), allow(dead_code, reason = "only the layers use it"))]
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }

    /// Creates the series with these label values, exempt from the cap because the program bounds the number
    /// of such series.
    #[cfg_attr(not(any(feature = "tower", feature = "actix")), allow(dead_code, reason = "only the layers use it"))]
    pub(crate) fn create_exempt(&self, values: [&str; N]) {
        self.core.exempt_from_cap(&values);
    }

    /// Returns the overflow series, and counts one overflowed lookup.
    #[cfg_attr(not(any(feature = "tower", feature = "actix")), allow(dead_code, reason = "only the layers use it"))]
    pub(crate) fn overflow(&self) -> M {
        M::from_cell(self.core.overflow(), self.core.declaration.buckets, None)
    }

    /// Like [`Family::labels`], but for label values of any type; used by generated code.
    #[doc(hidden)]
    #[inline]
    pub fn series(&self, labels: [Label<'_>; N]) -> M {
        M::from_cell(self.core.resolve_labels(&labels), self.core.declaration.buckets, None)
    }

    /// Returns the series with these label values if it exists, without creating it.
    #[must_use]
    pub fn get(&self, values: [&str; N]) -> Option<M> {
        let handle = self.core.find(&values)?;
        Some(M::from_cell(handle, self.core.declaration.buckets, None))
    }

    /// Removes the series with these label values. Returns false if it does not exist.
    ///
    /// Existing handles to the series no longer record anything. The next call to [`Family::labels`] or to an
    /// annotated function with these values recreates the series at 0. A call in progress may not be recorded, or
    /// may recreate the series. Removing a series invalidates every thread's cached lookups in this family, so remove
    /// series occasionally, not on every request.
    pub fn remove(&self, values: [&str; N]) -> bool {
        self.core.remove(&values)
    }

    /// Removes all series, with the same effects as [`Family::remove`].
    pub fn clear(&self) {
        self.core.clear();
    }

    /// Returns the number of series, including the overflow series.
    #[must_use]
    pub fn len(&self) -> usize {
        self.core.len()
    }

    /// Returns true if the family has no series.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Iterates over the series that exist at the time of the call, with their label values, in creation order.
    pub fn iter(&self) -> impl Iterator<Item = ([String; N], M)> + use<M, N> {
        let buckets = self.core.declaration.buckets;
        let series: Vec<_> = self
            .core
            .series()
            .into_iter()
            .map(|(values, handle)| {
                let mut values = values.into_iter();
                let values = std::array::from_fn(|_| values.next().unwrap_or_default());
                (values, M::from_cell(handle, buckets, None))
            })
            .collect();
        series.into_iter()
    }

    /// Returns the name under which the family is exported.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.core.declaration.name
    }
}

impl<M, const N: usize> Clone for Family<M, N> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), metric: PhantomData }
    }
}

impl<M, const N: usize> fmt::Debug for Family<M, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family")
            .field("name", &self.core.declaration.name)
            .field("labels", &self.core.declaration.label_names)
            .field("series", &self.core.len())
            .finish_non_exhaustive()
    }
}

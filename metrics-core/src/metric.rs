//! The interface between metric types and families or scrapes: creating, freeing and reading series.

use std::sync::Arc;

use crate::cell::{Handle, counter, histogram, summary};
use crate::kind::Kind;
use crate::sample::Value;

/// A metric of one series: [`Counter`](crate::Counter), [`Gauge`](crate::Gauge), [`Summary`](crate::Summary) or
/// [`Histogram`](crate::Histogram).
///
/// This trait is sealed; it cannot be implemented outside this crate.
pub trait Metric: sealed::Metric {}

impl<M: sealed::Metric> Metric for M {}

/// Holds the series of a metric that stands alone for as long as the metric lives.
///
/// Series of a family are held by the family: their handles carry nothing, and copying them counts no references.
pub(crate) type OptionalOwner = Option<Arc<dyn SeriesOwner>>;

/// The family of a metric that stands alone, to the metric.
pub trait SeriesOwner: Send + Sync {
    /// Marks the metric to be read before all others by scrapes, because it counts calls that another metric counts first.
    fn mark_read_early(&self);

    /// The family's name.
    fn name(&self) -> &str;
}

/// A metric type's ways with its cells.
pub struct MetricVTable {
    pub(crate) kind: Kind,
    /// A new series at 0, for a histogram with these bounds; `None` when no slot is left.
    pub(crate) allocate: fn(&'static [f64]) -> Option<Handle>,
    /// Ends a series.
    pub(crate) free: fn(Handle, &'static [f64]),
    /// Reads series of the same bounds.
    pub(crate) read: fn(&[Handle], &'static [f64], &mut Readings),
    /// What the series at this position of the last reading shows.
    pub(crate) value: for<'r> fn(&'r Readings, usize) -> Value<'r>,
    /// Whether each of these series has not been ended.
    pub(crate) are_live: fn(&[Handle], &mut Vec<bool>),
}

/// What was read of some series of one type; used again and again.
#[derive(Default)]
pub(crate) struct Readings {
    pub(crate) counters: Vec<counter::Total>,
    pub(crate) gauges: Vec<f64>,
    pub(crate) summaries: Vec<summary::Total>,
    pub(crate) histograms: histogram::Totals,
    /// Upper bound and cumulative count of each bucket of each histogram.
    pub(crate) buckets: Vec<(f64, u64)>,
}

pub(crate) mod sealed {
    use super::{Handle, MetricVTable, OptionalOwner};

    pub trait Metric: Clone + Send + Sync + 'static {
        #[doc(hidden)]
        const VTABLE: &'static MetricVTable;

        #[doc(hidden)]
        fn from_cell(handle: Handle, bounds: &'static [f64], owner: OptionalOwner) -> Self;
    }
}

//! The interface through which families and scrapes create, free and read series of any metric type.

use std::panic::RefUnwindSafe;
use std::sync::Arc;

use crate::cell::distribution_reader::Distribution;
use crate::cell::{Buckets, Handle, counter, histogram, summary};
use crate::kind::Kind;
use crate::sample::Value;

/// A metric with a single series: [`Counter`](crate::Counter), [`Gauge`](crate::Gauge), [`Summary`](crate::Summary),
/// [`Histogram`](crate::Histogram), [`Info`](crate::Info) or [`StateSet`](crate::StateSet).
///
/// This trait is sealed; it cannot be implemented outside this crate.
pub trait Metric: sealed::Metric {}

impl<M: sealed::Metric> Metric for M {}

/// The owner of a standalone metric's series, which keeps the series alive for as long as the metric exists.
///
/// A series in a family is kept alive by the family, so its metrics have no owner, and copying them requires no
/// reference counting.
pub(crate) type OptionalOwner = Option<Arc<dyn SeriesOwner>>;

/// The family of a standalone metric, as seen by the metric.
pub trait SeriesOwner: Send + Sync + RefUnwindSafe {
    /// Makes scrapes read this metric before all others, because it counts a subset of another metric's calls.
    fn mark_read_early(&self);

    /// The family's name.
    fn name(&self) -> &str;
}

/// A metric type's functions for accessing its cells.
pub struct MetricVTable {
    pub(crate) kind: Kind,
    /// The states of a state set; empty for other types.
    pub(crate) states: &'static [&'static str],
    /// Allocates a series at 0, with these buckets, if any; `None` if no slot is free.
    pub(crate) allocate: fn(Option<&'static Buckets>) -> Option<Handle>,
    /// Ends a series.
    pub(crate) free: fn(Handle, Option<&'static Buckets>),
    /// Reads series with the same buckets.
    pub(crate) read: fn(&[Handle], Option<&'static Buckets>, &mut Readings),
    /// Returns the value of the series at this position in the last reading.
    pub(crate) value: for<'r> fn(&'r Readings, usize) -> Value<'r>,
    /// Fills the vector with one flag per handle: true if its series has not ended.
    pub(crate) are_live: fn(&[Handle], &mut Vec<bool>),
}

/// Buffers for the values read from series of one type, reused between readings.
#[derive(Default)]
pub(crate) struct Readings {
    pub(crate) counters: Vec<counter::Total>,
    pub(crate) gauges: Vec<f64>,
    pub(crate) summaries: Vec<summary::Total>,
    pub(crate) histograms: histogram::Totals,
    /// Series with exponential buckets; empty after a reading of plain summaries, or of histograms without native
    /// buckets.
    pub(crate) distributions: Vec<Distribution>,
    /// The upper bound and the cumulative count of each bucket of each histogram.
    pub(crate) cumulative: Vec<(f64, u64)>,
}

pub(crate) mod sealed {
    use super::{Buckets, Handle, MetricVTable, OptionalOwner};

    pub trait Metric: Clone + Send + Sync + 'static {
        #[doc(hidden)]
        const VTABLE: &'static MetricVTable;

        #[doc(hidden)]
        fn from_cell(handle: Handle, buckets: Option<&'static Buckets>, owner: OptionalOwner) -> Self;
    }
}

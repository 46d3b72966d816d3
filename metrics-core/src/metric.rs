//! What a type of metric is to families and scrapes: how its series are made, ended and read.

use std::sync::Arc;

use crate::cell::Handle;
use crate::sample::{Kind, Value};

/// A metric of one series: [`Counter`](crate::Counter), [`Gauge`](crate::Gauge), [`Summary`](crate::Summary) or
/// [`Histogram`](crate::Histogram).
///
/// This trait is sealed; it cannot be implemented outside this crate.
pub trait Metric: sealed::Metric {}

impl<M: sealed::Metric> Metric for M {}

/// Holds the series of a metric that stands alone for as long as the metric lives.
///
/// Series of a family are held by the family: their handles carry nothing, and copying them counts no references.
pub(crate) type Keeper = Option<Arc<dyn Keep>>;

/// The family of a metric that stands alone, to the metric.
pub trait Keep: Send + Sync {
    /// Has scrapes read the metric before all others: what it counts is counted elsewhere before.
    fn read_first(&self);
}

/// A metric type's ways with its cells.
pub struct Type {
    pub(crate) kind: Kind,
    /// A new series at 0, for a histogram with these bounds; `None` when no place is left.
    pub(crate) allocate: fn(&'static [f64]) -> Option<Handle>,
    /// Ends a series.
    pub(crate) free: fn(Handle, &'static [f64]),
    /// Reads a series; what does not fit into the value goes to the scratch space.
    pub(crate) read: for<'s> fn(Handle, &'static [f64], &'s mut Scratch) -> Value<'s>,
    /// Whether a series has not been ended.
    pub(crate) is_live: fn(Handle) -> bool,
}

/// Space that readings of buckets use again and again.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) counts: Vec<u64>,
    pub(crate) buckets: Vec<(f64, u64)>,
}

pub(crate) mod sealed {
    use super::{Handle, Keeper, Type};

    pub trait Metric: Clone + Send + Sync + 'static {
        #[doc(hidden)]
        const TYPE: &'static Type;

        #[doc(hidden)]
        fn from_cell(handle: Handle, bounds: &'static [f64], keeper: Keeper) -> Self;
    }
}

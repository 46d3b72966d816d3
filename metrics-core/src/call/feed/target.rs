//! Targets: the metrics and families that `#[instrument(latency = .., exceptions = ..)]` accepts.

use std::sync::Arc;

use crate::call::declaration::label_source::Role;
use crate::cell::Handle;
use crate::counter::Counter;
use crate::family::{Family, FamilyCore};
use crate::gauge::Gauge;
use crate::histogram::Histogram;
use crate::metric::{Metric, OptionalOwner, SeriesOwner};
use crate::summary::Summary;

/// A family that calls feed, or one metric without labels.
#[derive(Clone)]
pub struct FeedTarget(pub(crate) OwnedTarget);

impl FeedTarget {
    pub(crate) fn target(&self) -> TargetRef<'_> {
        self.0.as_ref()
    }
}

impl std::fmt::Debug for FeedTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FeedTarget").finish_non_exhaustive()
    }
}

#[derive(Clone)]
pub(crate) enum OwnedTarget {
    Family(Arc<FamilyCore>),
    /// A metric without labels, and what keeps its series.
    Unlabeled {
        handle: Handle,
        bounds: &'static [f64],
        owner: OptionalOwner,
    },
}

/// Like [`OwnedTarget`], for the length of a call.
#[derive(Clone, Copy)]
pub enum TargetRef<'a> {
    Family(&'a Arc<FamilyCore>),
    Unlabeled { handle: Handle, bounds: &'static [f64], owner: &'a OptionalOwner },
}

/// The families that a call has named, by [`Role`].
pub(crate) type PerCall<'a> = [Option<TargetRef<'a>>; Role::COUNT];

impl OwnedTarget {
    pub(crate) fn as_ref(&self) -> TargetRef<'_> {
        match self {
            Self::Family(core) => TargetRef::Family(core),
            Self::Unlabeled { handle, bounds, owner } => TargetRef::Unlabeled { handle: *handle, bounds, owner },
        }
    }
}

impl<'a> TargetRef<'a> {
    /// The name under which it is exported, if it is.
    pub(crate) fn name(self) -> Option<&'a str> {
        match self {
            Self::Family(core) => Some(&core.declaration.name),
            Self::Unlabeled { owner, .. } => owner.as_deref().map(SeriesOwner::name),
        }
    }

    /// Has scrapes read the target before all others.
    pub(crate) fn mark_read_early(self) {
        match self {
            Self::Family(core) => core.mark_read_early(),
            Self::Unlabeled { owner, .. } => {
                if let Some(family) = owner {
                    family.mark_read_early();
                }
            }
        }
    }

    /// The target for longer than the call's arguments live.
    pub(crate) fn to_owned_target(self) -> FeedTarget {
        FeedTarget(match self {
            Self::Family(core) => OwnedTarget::Family(Arc::clone(core)),
            Self::Unlabeled { handle, bounds, owner } => {
                OwnedTarget::Unlabeled { handle, bounds, owner: owner.clone() }
            }
        })
    }

    /// Upper bounds of the buckets; none where it is no histogram.
    pub(crate) fn bounds(self) -> &'static [f64] {
        match self {
            Self::Family(core) => core.declaration.bounds,
            Self::Unlabeled { bounds, .. } => bounds,
        }
    }
}

pub(crate) mod sealed {
    use super::TargetRef;

    pub trait Feed {
        #[doc(hidden)]
        fn target(&self) -> TargetRef<'_>;
    }

    impl<M: super::Metric, const N: usize> Feed for super::Family<M, N> {
        fn target(&self) -> TargetRef<'_> {
            TargetRef::Family(&self.core)
        }
    }
}

macro_rules! unlabeled {
    ($($metric:ident)*) => {$(
        impl sealed::Feed for $metric {
            fn target(&self) -> TargetRef<'_> {
                let (handle, bounds, owner) = self.cell();
                TargetRef::Unlabeled { handle, bounds, owner }
            }
        }
    )*};
}
unlabeled! { Counter Gauge Summary Histogram }

/// What takes the latency of calls.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot take the latency of calls",
    label = "neither a summary nor a histogram",
    note = "give `latency` a `Family<Summary, N>` or `Family<Histogram, N>` whose labels are those of the function"
)]
pub trait FeedsLatency: sealed::Feed {}

impl<const N: usize> FeedsLatency for Family<Summary, N> {}
impl<const N: usize> FeedsLatency for Family<Histogram, N> {}
impl FeedsLatency for Summary {}
impl FeedsLatency for Histogram {}

/// What counts calls that ended in some way.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot count calls",
    label = "not a counter",
    note = "give `exceptions` and `cancelled` a `Family<Counter, N>` whose labels are those of the function"
)]
pub trait FeedsCount: sealed::Feed {}

impl<const N: usize> FeedsCount for Family<Counter, N> {}
impl FeedsCount for Counter {}

/// What shows how many calls are running.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot show the calls in flight",
    label = "not a gauge",
    note = "give `in_flight` a `Family<Gauge, N>` whose labels are those of the function"
)]
pub trait FeedsLevel: sealed::Feed {}

impl<const N: usize> FeedsLevel for Family<Gauge, N> {}
impl FeedsLevel for Gauge {}

/// A family given as `latency`.
pub fn latency<M: FeedsLatency>(metric: &M) -> FeedTarget {
    metric.target().to_owned_target()
}

/// A family given as `exceptions`.
pub fn exceptions<M: FeedsCount>(metric: &M) -> FeedTarget {
    metric.target().to_owned_target()
}

/// A family given as `cancelled`.
pub fn cancelled<M: FeedsCount>(metric: &M) -> FeedTarget {
    metric.target().to_owned_target()
}

/// A family given as `in_flight`.
pub fn in_flight<M: FeedsLevel>(metric: &M) -> FeedTarget {
    metric.target().to_owned_target()
}

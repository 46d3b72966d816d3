//! Targets: the metrics and families that `#[instrument(latency = .., exceptions = ..)]` accepts.

use std::ops::Deref;
use std::sync::Arc;

use crate::call::declaration::label_source::Role;
use crate::cell::{Buckets, Handle};
use crate::counter::Counter;
use crate::family::{Family, FamilyCore};
use crate::gauge::Gauge;
use crate::histogram::Histogram;
use crate::metric::{Metric, OptionalOwner, SeriesOwner};
use crate::summary::Summary;

/// A family, or a metric without labels, that calls record into.
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
    /// A metric without labels, and the owner of its series.
    Unlabeled {
        handle: Handle,
        buckets: Option<&'static Buckets>,
        owner: OptionalOwner,
    },
}

/// Like [`OwnedTarget`], but borrowed.
#[derive(Clone, Copy)]
pub enum TargetRef<'a> {
    Family(&'a Arc<FamilyCore>),
    Unlabeled { handle: Handle, buckets: Option<&'static Buckets>, owner: &'a OptionalOwner },
}

/// The targets that each call evaluates, indexed by [`Role`].
pub(crate) type PerCall<'a> = [Option<TargetRef<'a>>; Role::COUNT];

impl OwnedTarget {
    pub(crate) fn as_ref(&self) -> TargetRef<'_> {
        match self {
            Self::Family(core) => TargetRef::Family(core),
            Self::Unlabeled { handle, buckets, owner } => {
                TargetRef::Unlabeled { handle: *handle, buckets: *buckets, owner }
            }
        }
    }
}

impl<'a> TargetRef<'a> {
    /// The name of the family, or the name under which the metric is exported, if any.
    pub(crate) fn name(self) -> Option<&'a str> {
        match self {
            Self::Family(core) => Some(&core.declaration.name),
            Self::Unlabeled { owner, .. } => owner.as_deref().map(SeriesOwner::name),
        }
    }

    /// The names of the labels.
    pub(crate) fn label_names(self) -> &'a [String] {
        match self {
            Self::Family(core) => &core.declaration.label_names,
            Self::Unlabeled { .. } => &[],
        }
    }

    /// Marks the target so that scrapes read it before all others.
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

    /// Returns true if the target uses at most half of its cap.
    pub(crate) fn is_half_empty(self) -> bool {
        match self {
            Self::Family(core) => core.is_half_empty(),
            Self::Unlabeled { .. } => true,
        }
    }

    /// The series for label sets that the target has no room for.
    pub(crate) fn overflow(self) -> Handle {
        match self {
            Self::Family(core) => core.overflow(),
            Self::Unlabeled { handle, .. } => handle,
        }
    }

    /// Converts to an owned target, which may outlive the call's arguments.
    pub(crate) fn to_owned_target(self) -> FeedTarget {
        FeedTarget(match self {
            Self::Family(core) => OwnedTarget::Family(Arc::clone(core)),
            Self::Unlabeled { handle, buckets, owner } => {
                OwnedTarget::Unlabeled { handle, buckets, owner: owner.clone() }
            }
        })
    }

    /// Returns a number that identifies the target's current series. No other target ever has this number, and each
    /// removal from a family changes it.
    #[inline]
    pub(crate) fn identity(self) -> u64 {
        match self {
            Self::Family(core) => core.epoch(),
            Self::Unlabeled { handle, .. } => handle.word(),
        }
    }

    /// The target's buckets; `None` for counters, gauges and plain summaries.
    pub(crate) fn buckets(self) -> Option<&'static Buckets> {
        match self {
            Self::Family(core) => core.declaration.buckets,
            Self::Unlabeled { buckets, .. } => buckets,
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

    impl<P: super::Deref<Target: Feed>> Feed for P {
        #[inline]
        fn target(&self) -> TargetRef<'_> {
            (**self).target()
        }
    }
}

macro_rules! unlabeled {
    ($($metric:ident)*) => {$(
        impl sealed::Feed for $metric {
            fn target(&self) -> TargetRef<'_> {
                let (handle, buckets, owner) = self.cell();
                TargetRef::Unlabeled { handle, buckets, owner }
            }
        }
    )*};
}
unlabeled! { Counter Gauge Summary Histogram }

/// A target for the latency of a function whose latency family has `N` labels.
///
/// `UNLABELED` is true if the function has no labels other than `function`. A metric without labels is then also a
/// target. A pointer to a target, such as a `lazy_static`, `LazyLock` or `Arc`, is itself a target.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot record the latency of this function",
    label = "expected a `Family<Summary, {N}>` or `Family<Histogram, {N}>`",
    note = "`latency` takes a family with the labels of the function, without `kind`; a function without labels has only the label `function`"
)]
pub trait FeedsLatency<const N: usize, const UNLABELED: bool>: sealed::Feed {}

impl<const N: usize, const UNLABELED: bool> FeedsLatency<N, UNLABELED> for Family<Summary, N> {}
impl<const N: usize, const UNLABELED: bool> FeedsLatency<N, UNLABELED> for Family<Histogram, N> {}
impl FeedsLatency<1, true> for Summary {}
impl FeedsLatency<1, true> for Histogram {}
#[diagnostic::do_not_recommend]
impl<const N: usize, const UNLABELED: bool, P> FeedsLatency<N, UNLABELED> for P where
    P: Deref<Target: FeedsLatency<N, UNLABELED>>
{
}

/// A target with `N` labels that counts a function's calls. For `UNLABELED` and pointers, see [`FeedsLatency`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot count the calls of this function",
    label = "expected a `Family<Counter, {N}>`",
    note = "`exceptions` and `cancelled` take a family with the labels of the function; only `exceptions` has `kind`; a function without labels has only the label `function`"
)]
pub trait FeedsCount<const N: usize, const UNLABELED: bool>: sealed::Feed {}

impl<const N: usize, const UNLABELED: bool> FeedsCount<N, UNLABELED> for Family<Counter, N> {}
impl FeedsCount<1, true> for Counter {}
#[diagnostic::do_not_recommend]
impl<const N: usize, const UNLABELED: bool, P> FeedsCount<N, UNLABELED> for P where
    P: Deref<Target: FeedsCount<N, UNLABELED>>
{
}

/// A target with `N` labels for the number of a function's calls in flight. For `UNLABELED` and pointers, see
/// [`FeedsLatency`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot count the calls in flight of this function",
    label = "expected a `Family<Gauge, {N}>`",
    note = "write `in_flight` alone for the default family, or set it to a family with the labels that are known when a call begins; a function without labels has only the label `function`"
)]
pub trait FeedsLevel<const N: usize, const UNLABELED: bool>: sealed::Feed {}

impl<const N: usize, const UNLABELED: bool> FeedsLevel<N, UNLABELED> for Family<Gauge, N> {}
impl FeedsLevel<1, true> for Gauge {}
#[diagnostic::do_not_recommend]
impl<const N: usize, const UNLABELED: bool, P> FeedsLevel<N, UNLABELED> for P where
    P: Deref<Target: FeedsLevel<N, UNLABELED>>
{
}

/// Converts the target given as `latency` to its owned form.
pub fn latency<const N: usize, const UNLABELED: bool, M: FeedsLatency<N, UNLABELED>>(metric: &M) -> FeedTarget {
    metric.target().to_owned_target()
}

/// Converts the target given as `exceptions` to its owned form.
pub fn exceptions<const N: usize, const UNLABELED: bool, M: FeedsCount<N, UNLABELED>>(metric: &M) -> FeedTarget {
    metric.target().to_owned_target()
}

/// Converts the target given as `cancelled` to its owned form.
pub fn cancelled<const N: usize, const UNLABELED: bool, M: FeedsCount<N, UNLABELED>>(metric: &M) -> FeedTarget {
    metric.target().to_owned_target()
}

/// Like [`cancelled`], but for a function with labels from its result. The family may have those labels.
pub fn cancelled_with_results<const N: usize, M: FeedsCount<N, false>>(metric: &M) -> FeedTarget {
    metric.target().to_owned_target()
}

/// Converts the target given as `in_flight` to its owned form.
pub fn in_flight<const N: usize, const UNLABELED: bool, M: FeedsLevel<N, UNLABELED>>(metric: &M) -> FeedTarget {
    metric.target().to_owned_target()
}

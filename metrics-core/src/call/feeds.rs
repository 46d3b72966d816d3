//! What the families named in `#[instrument(latency = .., exceptions = ..)]` may be.

use std::sync::Arc;

use crate::cell::Handle;
use crate::counter::Counter;
use crate::family::{Family, FamilyCore};
use crate::gauge::Gauge;
use crate::histogram::Histogram;
use crate::metric::Metric;
use crate::summary::Summary;

/// A family that calls feed, or one metric without labels.
#[derive(Clone)]
pub struct Fed(pub(super) Target);

#[derive(Clone)]
pub(super) enum Target {
    Family(Arc<FamilyCore>),
    /// A metric without labels, and its copy, which keeps the series alive.
    Alone {
        handle: Handle,
        bounds: &'static [f64],
        _keeper: Arc<dyn Send + Sync>,
    },
}

/// As [`Target`], for the length of a call.
#[derive(Clone, Copy)]
pub enum TargetRef<'a> {
    Family(&'a FamilyCore),
    Alone { handle: Handle, bounds: &'static [f64] },
}

pub(super) mod sealed {
    use super::{Arc, Fed, Target, TargetRef};

    pub trait Feed {
        #[doc(hidden)]
        fn target(&self) -> TargetRef<'_>;

        /// The target for as long as the process lives.
        #[doc(hidden)]
        fn fed(&self) -> Fed;
    }

    impl<T: Feed + ?Sized> Feed for &T {
        fn target(&self) -> TargetRef<'_> {
            T::target(self)
        }

        fn fed(&self) -> Fed {
            T::fed(self)
        }
    }

    impl<T: Feed + ?Sized> Feed for Arc<T> {
        fn target(&self) -> TargetRef<'_> {
            T::target(self)
        }

        fn fed(&self) -> Fed {
            T::fed(self)
        }
    }

    impl<M: super::Metric, const N: usize> Feed for super::Family<M, N> {
        fn target(&self) -> TargetRef<'_> {
            TargetRef::Family(&self.core)
        }

        fn fed(&self) -> Fed {
            Fed(Target::Family(Arc::clone(&self.core)))
        }
    }
}

macro_rules! alone {
    ($($metric:ident)*) => {$(
        impl sealed::Feed for $metric {
            fn target(&self) -> TargetRef<'_> {
                let (handle, bounds) = self.cell();
                TargetRef::Alone { handle, bounds }
            }

            fn fed(&self) -> Fed {
                let (handle, bounds) = self.cell();
                Fed(Target::Alone { handle, bounds, _keeper: Arc::new(self.clone()) })
            }
        }
    )*};
}
alone! { Counter Gauge Summary Histogram }

macro_rules! roles {
    ($($(#[$attribute:meta])* $role:ident: $($metric:ident)*;)*) => {$(
        $(#[$attribute])*
        pub trait $role: sealed::Feed {}

        impl<T: $role + ?Sized> $role for &T {}
        impl<T: $role + ?Sized> $role for Arc<T> {}
        $(
            impl $role for $metric {}
            impl<const N: usize> $role for Family<$metric, N> {}
        )*
    )*};
}

roles! {
    /// What takes the latency of calls.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` cannot take the latency of calls",
        label = "neither a summary nor a histogram",
        note = "give `latency` a `Family<Summary, N>` or `Family<Histogram, N>` whose labels are those of the function"
    )]
    FeedsLatency: Summary Histogram;

    /// What counts calls that ended in some way.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` cannot count calls",
        label = "not a counter",
        note = "give `exceptions` and `cancelled` a `Family<Counter, N>` whose labels are those of the function"
    )]
    FeedsCount: Counter;

    /// What shows how many calls are running.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` cannot show the calls in flight",
        label = "not a gauge",
        note = "give `in_flight` a `Family<Gauge, N>` whose labels are those of the function"
    )]
    FeedsLevel: Gauge;
}

/// A family given as `latency`.
pub fn latency<M: FeedsLatency + ?Sized>(metric: &M) -> Fed {
    metric.fed()
}

/// A family given as `exceptions`.
pub fn exceptions<M: FeedsCount + ?Sized>(metric: &M) -> Fed {
    metric.fed()
}

/// A family given as `cancelled`.
pub fn cancelled<M: FeedsCount + ?Sized>(metric: &M) -> Fed {
    metric.fed()
}

/// A family given as `in_flight`.
pub fn in_flight<M: FeedsLevel + ?Sized>(metric: &M) -> Fed {
    metric.fed()
}

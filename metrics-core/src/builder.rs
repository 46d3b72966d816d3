//! Builders for metrics and families. The module `registry::register` implements their registration.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use crate::buckets::DEFAULT_BUCKETS;
use crate::counter::Counter;
use crate::family::core::DEFAULT_MAX_SERIES;
use crate::family::{Family, FamilyCore, FamilyDeclaration};
use crate::gauge::Gauge;
use crate::histogram::Histogram;
use crate::kind::Kind;
use crate::lint::StyleRule;
use crate::metric::{Metric, sealed};
use crate::summary::Summary;

/// A builder for a metric, or for a [`Family`] once [`Builder::labels`] has been called. `T` is the resulting type.
///
/// `register` registers the result in the global registry, and `register_in` registers it in a given registry. `build`
/// returns it unregistered, so it is not exported.
#[derive(Clone)]
#[must_use = "a builder does nothing until `register`, `register_in` or `build` is called"]
pub struct Builder<M, T = M> {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) unit: Option<String>,
    pub(crate) label_names: Vec<String>,
    pub(crate) label_values: Vec<Option<&'static [&'static str]>>,
    pub(crate) const_labels: Vec<(String, String)>,
    pub(crate) bounds: Option<Vec<f64>>,
    pub(crate) max_series: usize,
    pub(crate) allowed: &'static [StyleRule],
    pub(crate) location: &'static Location<'static>,
    built: PhantomData<fn() -> (M, T)>,
}

/// A type that a [`Builder`] can build: a metric without labels, or a [`Family`].
///
/// This trait is sealed and cannot be implemented outside this crate.
pub trait BuildTarget: sealed_target::BuildTarget {}

impl<T: sealed_target::BuildTarget> BuildTarget for T {}

pub(crate) mod sealed_target {
    use super::{Arc, FamilyCore};

    pub trait BuildTarget {
        #[doc(hidden)]
        fn from_core(core: Arc<FamilyCore>) -> Self;
    }
}

impl<M: sealed::Metric> sealed_target::BuildTarget for M {
    fn from_core(core: Arc<FamilyCore>) -> Self {
        let handle = core.resolve(&[]);
        let buckets = core.declaration.buckets;
        M::from_cell(handle, buckets, Some(core))
    }
}

impl<M: Metric, const N: usize> sealed_target::BuildTarget for Family<M, N> {
    fn from_core(core: Arc<FamilyCore>) -> Self {
        Family::from_core(core)
    }
}

macro_rules! builders {
    ($($metric:ident: $what:literal;)*) => {$(
        impl $metric {
            #[doc = concat!("Returns a builder for ", $what, " with this name and help text.")]
            ///
            /// The name is checked when the metric is registered.
            #[track_caller]
            pub fn builder(name: impl Into<String>, help: impl Into<String>) -> Builder<$metric> {
                Builder::new(name.into(), help.into())
            }

            /// Never compiles. The error message suggests [`Self::builder`].
            #[doc(hidden)]
            pub fn new<N: OnlyBuilders<$metric>, H>(name: N, help: H) -> Builder<$metric> {
                drop(help);
                name.never()
            }
        }
    )*};
}

/// A trait without implementations, so that `Counter::new(..)` fails to compile with a message that suggests the
/// builder.
#[diagnostic::on_unimplemented(
    message = "`{M}` has no function `new`",
    label = "metrics are created by builders",
    note = "write `{M}::builder(name, help).register()` to export the metric, or `.build()` to create it unregistered"
)]
pub trait OnlyBuilders<M> {
    #[doc(hidden)]
    fn never(self) -> Builder<M>;
}

builders! {
    Counter: "a counter";
    Gauge: "a gauge";
    Summary: "a summary";
    Histogram: "a histogram";
}

impl<M: Metric> Builder<M> {
    #[track_caller]
    pub(crate) fn new(name: String, help: String) -> Self {
        Self {
            name,
            help,
            unit: None,
            label_names: Vec::new(),
            label_values: Vec::new(),
            const_labels: Vec::new(),
            bounds: None,
            max_series: DEFAULT_MAX_SERIES,
            allowed: &[],
            location: Location::caller(),
            built: PhantomData,
        }
    }

    /// Adds labels. The builder then builds a [`Family`].
    pub fn labels<const N: usize>(self, names: [&str; N]) -> Builder<M, Family<M, N>> {
        Builder {
            name: self.name,
            help: self.help,
            unit: self.unit,
            label_names: names.map(str::to_owned).into(),
            label_values: self.label_values,
            const_labels: self.const_labels,
            bounds: self.bounds,
            max_series: self.max_series,
            allowed: self.allowed,
            location: self.location,
            built: PhantomData,
        }
    }
}

impl<M: Metric, T: BuildTarget> Builder<M, T> {
    /// Adds a label that has the same value on every series.
    pub fn const_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.const_labels.push((name.into(), value.into()));
        self
    }

    /// Sets the unit, such as `seconds` or `bytes`. The name must end in the unit (for counters, before `_total`).
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = Some(unit.into());
        self
    }

    /// Allows the metric to break these style rules. [`Registry::check`](crate::Registry::check) then does not report
    /// violations.
    pub fn allow(mut self, rules: &'static [StyleRule]) -> Self {
        self.allowed = rules;
        self
    }

    /// Sets the family's maximum number of series; the default is 2,000.
    ///
    /// Once the family has this many series, new label sets are counted in its overflow series. Each thread caches up
    /// to 16,384 label sets per family and looks up the rest in a table that all threads share.
    pub fn max_series(mut self, max_series: usize) -> Self {
        self.max_series = max_series;
        self
    }

    /// Builds the metric or family without registering it, so it is not exported.
    ///
    /// The result works even if its names or buckets are invalid. Invalid bucket bounds are dropped.
    pub fn build(self) -> T {
        T::from_core(Arc::new(self.into_core()))
    }

    pub(crate) fn into_core(self) -> FamilyCore {
        let mut declaration = FamilyDeclaration {
            name: self.name,
            help: self.help,
            unit: self.unit,
            metric: M::VTABLE,
            label_names: self.label_names,
            label_values: self.label_values,
            const_labels: self.const_labels,
            buckets: None,
            invalid_bounds: None,
            allowed: self.allowed,
            location: self.location,
        };
        declaration.const_labels.sort();
        if M::VTABLE.kind == Kind::Histogram {
            declaration.set_bounds(self.bounds.as_deref().unwrap_or(DEFAULT_BUCKETS));
        }
        FamilyCore::new(declaration, self.max_series)
    }
}

impl<T: BuildTarget> Builder<Histogram, T> {
    /// Sets the upper bounds of the buckets, at most 512, which must be strictly increasing. `+Inf` is implied.
    ///
    /// The default is [`DEFAULT_BUCKETS`]. [`linear_buckets`](crate::linear_buckets) and
    /// [`exponential_buckets`](crate::exponential_buckets) compute evenly and exponentially spaced bounds.
    pub fn buckets(mut self, bounds: impl IntoIterator<Item = f64>) -> Self {
        self.bounds = Some(bounds.into_iter().collect());
        self
    }
}

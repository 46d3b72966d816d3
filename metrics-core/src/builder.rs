//! Builders for metrics and families. The module `registry::register` implements their registration.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::buckets::BucketOptions;
use crate::counter::Counter;
use crate::family::core::DEFAULT_MAX_SERIES;
use crate::family::{Family, FamilyCore, FamilyDeclaration};
use crate::gauge::Gauge;
use crate::histogram::Histogram;
use crate::info::Info;
use crate::label_value::LabelValue;
use crate::lint::StyleRule;
use crate::metric::{Metric, MetricVTable, sealed};
use crate::state_set::StateSet;
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
    pub(crate) buckets: BucketOptions,
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
    Info: "an info metric";
}

impl<S: LabelValue + 'static> StateSet<S> {
    /// Returns a builder for a state set with this name and help text.
    ///
    /// The name is checked when the metric is registered.
    #[track_caller]
    pub fn builder(name: impl Into<String>, help: impl Into<String>) -> Builder<Self> {
        // Evaluated here, so that the error message contains the location of this call.
        const { _ = Self::STATES };
        Builder::new(name.into(), help.into())
    }
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
            buckets: BucketOptions::default(),
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
            buckets: self.buckets,
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
    /// Once the family has this many series, new label sets are counted in its overflow series. While a thread uses
    /// at most 16,384 of them, it caches them; beyond that, label sets are looked up in a table that all threads share.
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
        self.into_core_of(M::VTABLE)
    }

    /// Like [`Builder::into_core`], but with another type of metric.
    pub(crate) fn into_core_of(self, metric: &'static MetricVTable) -> FamilyCore {
        let (buckets, invalid_option) = self.buckets.resolve(metric.kind);
        let mut declaration = FamilyDeclaration {
            name: self.name,
            help: self.help,
            unit: self.unit,
            metric,
            label_names: self.label_names,
            label_values: self.label_values,
            const_labels: self.const_labels,
            buckets,
            invalid_option,
            allowed: self.allowed,
            location: self.location,
        };
        declaration.const_labels.sort();
        FamilyCore::new(declaration, self.max_series)
    }
}

impl<T: BuildTarget> Builder<Histogram, T> {
    /// Sets the upper bounds of the buckets, at most 512, which must be strictly increasing. `+Inf` is implied.
    ///
    /// The default is [`DEFAULT_BUCKETS`](crate::DEFAULT_BUCKETS). [`linear_buckets`](crate::linear_buckets) and
    /// [`exponential_buckets`](crate::exponential_buckets) compute evenly and exponentially spaced bounds.
    pub fn buckets(mut self, bounds: impl IntoIterator<Item = f64>) -> Self {
        self.buckets.bounds = Some(bounds.into_iter().collect());
        self
    }

    /// Also counts observations in native buckets, from which PromQL calculates more accurate quantiles.
    ///
    /// Native buckets need no bounds. They are exported only as protobuf, to servers that request it. The text formats
    /// and the bridge to the `prometheus` crate export only the classic buckets.
    ///
    /// # Example: latencies with both kinds of buckets
    ///
    /// ```
    /// use metrics_core::Histogram;
    ///
    /// let latency = Histogram::builder("query_latency_seconds", "Latency of queries.").native().build();
    /// latency.observe(0.003);
    /// assert_eq!(latency.count(), 1);
    /// ```
    pub fn native(mut self) -> Self {
        self.buckets.native = true;
        self
    }

    /// Sets the maximum factor between the bounds of native buckets; the default is 1.1. Implies [`Builder::native`].
    ///
    /// The factor is rounded down to 2^16, 2^8, 2^4, 2^2, 2, 2^(1/2), 2^(1/4) and so on, to 2^(1/256) (1.0027) at the
    /// finest. The default becomes 1.0905.
    pub fn native_factor(mut self, factor: f64) -> Self {
        self.buckets.native_factor = Some(factor);
        self
    }

    /// Sets the maximum number of native buckets of a series; the default is 160. Implies [`Builder::native`].
    ///
    /// If a series exceeds the limit, the zero bucket grows to include magnitudes up to about 10^-9. If that is not
    /// enough, the resolution is halved repeatedly, which merges pairs of buckets, until the limit is met or a bucket
    /// covers a factor of 65,536. Nothing is ever reset.
    pub fn max_native_buckets(mut self, most: usize) -> Self {
        self.buckets.max_native_buckets = Some(most);
        self
    }
}

impl<T: BuildTarget> Builder<Summary, T> {
    /// Also exports these quantiles of the observations of the last ten minutes: 1 to 32 different numbers from 0 to 1,
    /// such as 0.5 for the median and 0.99 for the 99th percentile.
    ///
    /// The relative error is at most 1 percent, unless [`Builder::relative_error`] sets another one or the values span
    /// more than 64 factors of 2; see [`guide::distributions`](crate::guide::distributions#cost). The window has
    /// five slices, so it covers between eight and ten minutes; see [`Builder::max_age`]. A quantile without recent
    /// observations is NaN. The count and the sum include all observations.
    ///
    /// Quantiles from several instances cannot be aggregated. To aggregate across instances, use a histogram.
    ///
    /// # Example: median and 99th percentile
    ///
    /// ```
    /// use metrics_core::{Registry, Summary};
    ///
    /// let registry = Registry::new();
    /// let latency = Summary::builder("step_latency_seconds", "Latency of a step.")
    ///     .quantiles([0.5, 0.99])
    ///     .register_in(&registry)?;
    /// (1..=100).for_each(|n| latency.observe(n));
    /// let text = registry.to_text();
    /// let line = text.lines().find(|line| line.contains("quantile=\"0.99\"")).expect("a line");
    /// let percentile: f64 = line.rsplit(' ').next().expect("a value").parse().expect("a number");
    /// assert!((percentile - 99.0).abs() <= 0.99);
    /// # Ok::<(), metrics_core::Error>(())
    /// ```
    pub fn quantiles(mut self, quantiles: impl IntoIterator<Item = f64>) -> Self {
        self.buckets.quantiles = Some(quantiles.into_iter().collect());
        self
    }

    /// Sets the maximum relative error of the [quantiles](Builder::quantiles), from 0.002 to below 0.5; the default is
    /// 0.01. Halving the error doubles the memory.
    pub fn relative_error(mut self, error: f64) -> Self {
        self.buckets.relative_error = Some(error);
        self
    }

    /// Sets the maximum age of the observations that the [quantiles](Builder::quantiles) include, from one second to
    /// one year; the default is ten minutes.
    ///
    /// The window has five slices. When a slice ends, the oldest one expires, so the window covers between four fifths
    /// of this duration and all of it. A background thread ends the slices. If that thread cannot be started, scrapes
    /// end them, and the window may reach back to the previous scrape.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.buckets.max_age = Some(max_age);
        self
    }
}

//! The methods with which generated code builds a function's declaration.
//!
//! They are not inlined, because each annotated function has code that calls them, and usually runs it once.

use std::panic::Location;

use super::label_source::{LabelList, LabelSource, MAX_LABELS, Role};
use super::{Declaration, Origin};
use crate::call::feed::target::FeedTarget;
use crate::registry::declared::LatencyOptions;

impl Declaration {
    /// Creates the declaration of `function` in `module`, without labels or options.
    #[must_use]
    #[track_caller]
    #[inline(never)]
    pub fn new(module: &'static str, function: &'static str) -> Self {
        Self {
            module,
            function,
            item: None,
            location: Location::caller(),
            prefix: None,
            labels: [None; MAX_LABELS],
            origins: [Origin::Default, Origin::Default, Origin::None, Origin::None],
            latency: LatencyOptions::default(),
            max_series: None,
        }
    }

    /// Adds the `function` label. Its value is the function's path, derived from the type of an item in the function.
    ///
    /// Used for functions whose other labels, if any, are all known only when a call ends.
    #[must_use]
    pub fn named_by<F>(self, _: &F) -> Self {
        self.named(std::any::type_name::<F>())
    }

    #[inline(never)]
    fn named(mut self, item: &'static str) -> Self {
        self.item = Some(item);
        self
    }

    /// Declares that the function's future can be dropped before it completes.
    #[must_use]
    #[inline(never)]
    pub fn cancellable(mut self) -> Self {
        self.origins[Role::Cancelled as usize] = Origin::Default;
        self
    }

    /// Sets the `prefix` option.
    #[must_use]
    #[inline(never)]
    pub fn prefix(mut self, prefix: &'static str) -> Self {
        self.prefix = Some(prefix);
        self
    }

    /// Adds a label with a fixed value.
    #[must_use]
    pub fn fixed_label(self, name: &'static str, value: &'static str) -> Self {
        self.with_label(name, LabelSource::Fixed(value))
    }

    /// Adds a label whose value comes from the arguments of each call.
    #[must_use]
    pub fn label(self, name: &'static str) -> Self {
        self.with_label(name, LabelSource::Call(None))
    }

    /// Like [`Declaration::label`], but with a closed set of values.
    #[must_use]
    pub fn label_in(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, LabelSource::Call(Some(LabelList { values, closed: true })))
    }

    /// Like [`Declaration::label`], but with some known values.
    #[must_use]
    pub fn label_in_open(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, LabelSource::Call(Some(LabelList { values, closed: false })))
    }

    /// Adds a label whose value comes from the return value of each call.
    #[must_use]
    pub fn result_label(self, name: &'static str) -> Self {
        self.with_label(name, LabelSource::Result(None))
    }

    /// Like [`Declaration::result_label`], but with a closed set of values.
    #[must_use]
    pub fn result_label_in(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, LabelSource::Result(Some(LabelList { values, closed: true })))
    }

    /// Like [`Declaration::result_label`], but with some known values.
    #[must_use]
    pub fn result_label_in_open(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, LabelSource::Result(Some(LabelList { values, closed: false })))
    }

    /// Adds a label whose value is the kind of the exception.
    #[must_use]
    pub fn kind_label(self, name: &'static str) -> Self {
        self.with_label(name, LabelSource::Kind(None))
    }

    /// Like [`Declaration::kind_label`], but with a closed set of values.
    #[must_use]
    pub fn kind_label_in(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, LabelSource::Kind(Some(LabelList { values, closed: true })))
    }

    /// Like [`Declaration::kind_label`], but with some known values.
    #[must_use]
    pub fn kind_label_in_open(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, LabelSource::Kind(Some(LabelList { values, closed: false })))
    }

    #[inline(never)]
    fn with_label(mut self, name: &'static str, source: LabelSource) -> Self {
        // The macro rejects any further labels.
        if let Some(label) = self.labels.iter_mut().find(|label| label.is_none()) {
            *label = Some((name, source));
        }
        self
    }

    /// Sets the `latency` option to an expression that is evaluated once.
    #[must_use]
    pub fn latency(self, family: fn() -> FeedTarget) -> Self {
        self.with_origin(Role::Latency, Origin::Static(family))
    }

    /// Sets the `exceptions` option to an expression that is evaluated once.
    #[must_use]
    pub fn exceptions(self, family: fn() -> FeedTarget) -> Self {
        self.with_origin(Role::Exceptions, Origin::Static(family))
    }

    /// Sets the `cancelled` option to an expression that is evaluated once.
    #[must_use]
    pub fn cancelled(self, family: fn() -> FeedTarget) -> Self {
        self.with_origin(Role::Cancelled, Origin::Static(family))
    }

    /// Sets the `in_flight` option to an expression that is evaluated once.
    #[must_use]
    pub fn in_flight(self, family: fn() -> FeedTarget) -> Self {
        self.with_origin(Role::InFlight, Origin::Static(family))
    }

    /// Sets the `in_flight` option to the default family.
    #[must_use]
    pub fn in_flight_default(self) -> Self {
        self.with_origin(Role::InFlight, Origin::Default)
    }

    /// Sets the `latency` option to an expression that each call evaluates.
    #[must_use]
    pub fn latency_per_call(self) -> Self {
        self.with_origin(Role::Latency, Origin::PerCall)
    }

    /// Sets the `exceptions` option to an expression that each call evaluates.
    #[must_use]
    pub fn exceptions_per_call(self) -> Self {
        self.with_origin(Role::Exceptions, Origin::PerCall)
    }

    /// Sets the `cancelled` option to an expression that each call evaluates.
    #[must_use]
    pub fn cancelled_per_call(self) -> Self {
        self.with_origin(Role::Cancelled, Origin::PerCall)
    }

    /// Sets the `in_flight` option to an expression that each call evaluates.
    #[must_use]
    pub fn in_flight_per_call(self) -> Self {
        self.with_origin(Role::InFlight, Origin::PerCall)
    }

    #[inline(never)]
    fn with_origin(mut self, role: Role, origin: Origin) -> Self {
        self.origins[role as usize] = origin;
        self
    }

    /// Sets the `buckets` option.
    #[must_use]
    #[inline(never)]
    pub fn buckets(mut self, bounds: &'static [f64]) -> Self {
        self.latency.buckets = Some(bounds);
        self
    }

    /// Sets the `histogram` option.
    #[must_use]
    #[inline(never)]
    pub fn histogram(mut self) -> Self {
        self.latency.histogram = true;
        self
    }

    /// Sets the `quantiles` option.
    #[must_use]
    #[inline(never)]
    pub fn quantiles(mut self, quantiles: &'static [f64]) -> Self {
        self.latency.quantiles = Some(quantiles);
        self
    }

    /// Sets the `max_series` option.
    #[must_use]
    #[inline(never)]
    pub fn max_series(mut self, max_series: usize) -> Self {
        self.max_series = Some(max_series);
        self
    }
}

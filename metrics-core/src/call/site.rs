//! The static that `#[instrument]` adds to a function: the function's declaration and the families it resolves to.
//!
//! The compiler processes every field of this static once per annotated function. To keep compile times low, everything
//! that the first call can allocate (families, locks, known values) is behind pointers.

use std::mem::ManuallyDrop;
use std::panic::Location;
use std::sync::Arc;

use super::declaration::label_source::{LabelList, LabelSource, MAX_LABELS, Role};
use super::declaration::{Declaration, Origin};
use super::feed::families::Families;
use super::feed::reentrant_once::ReentrantOnce;
use super::feed::target::FeedTarget;

/// An annotated function.
pub struct Site {
    pub(super) declaration: Declaration,
    /// Never dropped, because a site is a static. `ManuallyDrop` saves the compiler from analyzing drop code for each
    /// function. Allocated, because most functions of a large service are never called.
    pub(super) families: ManuallyDrop<ReentrantOnce<Arc<Families>>>,
}

impl Site {
    /// Creates the site for `function` in `module`.
    #[must_use]
    #[track_caller]
    pub const fn new(module: &'static str, function: &'static str) -> Self {
        let declaration = Declaration::new(module, function, Location::caller());
        Self { declaration, families: ManuallyDrop::new(ReentrantOnce::new()) }
    }

    /// Adds the `function` label. Its value is the function's path, derived from the closure's type.
    ///
    /// Used for functions whose other labels, if any, are all known only when a call ends.
    #[must_use]
    pub const fn named_by<F: Fn()>(mut self, _: &F) -> Self {
        self.declaration.closure = Some(std::any::type_name::<F>);
        self
    }

    /// Declares that the function's future can be dropped before it completes.
    #[must_use]
    pub const fn cancellable(mut self) -> Self {
        self.declaration.origins[Role::Cancelled as usize] = Origin::Default;
        self
    }

    /// Sets the `prefix` option.
    #[must_use]
    pub const fn prefix(mut self, prefix: &'static str) -> Self {
        self.declaration.prefix = Some(prefix);
        self
    }

    /// Adds a label with a fixed value.
    #[must_use]
    pub const fn fixed_label(self, name: &'static str, value: &'static str) -> Self {
        self.with_label(name, LabelSource::Fixed(value))
    }

    /// Adds a label whose value comes from the arguments of each call.
    #[must_use]
    pub const fn label(self, name: &'static str) -> Self {
        self.with_label(name, LabelSource::Call(None))
    }

    /// Like [`Site::label`], but with a closed set of values.
    #[must_use]
    pub const fn label_in(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, LabelSource::Call(Some(LabelList { values, closed: true })))
    }

    /// Like [`Site::label`], but with some known values.
    #[must_use]
    pub const fn label_in_open(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, LabelSource::Call(Some(LabelList { values, closed: false })))
    }

    /// Adds a label whose value comes from the return value of each call.
    #[must_use]
    pub const fn result_label(self, name: &'static str) -> Self {
        self.with_label(name, LabelSource::Result(None))
    }

    /// Like [`Site::result_label`], but with a closed set of values.
    #[must_use]
    pub const fn result_label_in(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, LabelSource::Result(Some(LabelList { values, closed: true })))
    }

    /// Like [`Site::result_label`], but with some known values.
    #[must_use]
    pub const fn result_label_in_open(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, LabelSource::Result(Some(LabelList { values, closed: false })))
    }

    /// Adds a label whose value is the kind of the exception.
    #[must_use]
    pub const fn kind_label(self, name: &'static str) -> Self {
        self.with_label(name, LabelSource::Kind(None))
    }

    /// Like [`Site::kind_label`], but with a closed set of values.
    #[must_use]
    pub const fn kind_label_in(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, LabelSource::Kind(Some(LabelList { values, closed: true })))
    }

    /// Like [`Site::kind_label`], but with some known values.
    #[must_use]
    pub const fn kind_label_in_open(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, LabelSource::Kind(Some(LabelList { values, closed: false })))
    }

    const fn with_label(mut self, name: &'static str, source: LabelSource) -> Self {
        let mut at = 0;
        while at < MAX_LABELS && self.declaration.labels[at].is_some() {
            at += 1;
        }
        // The macro rejects any further labels.
        if at < MAX_LABELS {
            self.declaration.labels[at] = Some((name, source));
        }
        self
    }

    /// Sets the `latency` option to an expression that is evaluated once.
    #[must_use]
    pub const fn latency(self, family: fn() -> FeedTarget) -> Self {
        self.with_origin(Role::Latency, Origin::Static(family))
    }

    /// Sets the `exceptions` option to an expression that is evaluated once.
    #[must_use]
    pub const fn exceptions(self, family: fn() -> FeedTarget) -> Self {
        self.with_origin(Role::Exceptions, Origin::Static(family))
    }

    /// Sets the `cancelled` option to an expression that is evaluated once.
    #[must_use]
    pub const fn cancelled(self, family: fn() -> FeedTarget) -> Self {
        self.with_origin(Role::Cancelled, Origin::Static(family))
    }

    /// Sets the `in_flight` option to an expression that is evaluated once.
    #[must_use]
    pub const fn in_flight(self, family: fn() -> FeedTarget) -> Self {
        self.with_origin(Role::InFlight, Origin::Static(family))
    }

    /// Sets the `in_flight` option to the default family.
    #[must_use]
    pub const fn in_flight_default(self) -> Self {
        self.with_origin(Role::InFlight, Origin::Default)
    }

    /// Sets the `latency` option to an expression that each call evaluates.
    #[must_use]
    pub const fn latency_per_call(self) -> Self {
        self.with_origin(Role::Latency, Origin::PerCall)
    }

    /// Sets the `exceptions` option to an expression that each call evaluates.
    #[must_use]
    pub const fn exceptions_per_call(self) -> Self {
        self.with_origin(Role::Exceptions, Origin::PerCall)
    }

    /// Sets the `cancelled` option to an expression that each call evaluates.
    #[must_use]
    pub const fn cancelled_per_call(self) -> Self {
        self.with_origin(Role::Cancelled, Origin::PerCall)
    }

    /// Sets the `in_flight` option to an expression that each call evaluates.
    #[must_use]
    pub const fn in_flight_per_call(self) -> Self {
        self.with_origin(Role::InFlight, Origin::PerCall)
    }

    const fn with_origin(mut self, role: Role, origin: Origin) -> Self {
        self.declaration.origins[role as usize] = origin;
        self
    }

    /// Sets the `buckets` option.
    #[must_use]
    pub const fn buckets(mut self, bounds: &'static [f64]) -> Self {
        self.declaration.latency.buckets = Some(bounds);
        self
    }

    /// Sets the `histogram` option.
    #[must_use]
    pub const fn histogram(mut self) -> Self {
        self.declaration.latency.histogram = true;
        self
    }

    /// Sets the `quantiles` option.
    #[must_use]
    pub const fn quantiles(mut self, quantiles: &'static [f64]) -> Self {
        self.declaration.latency.quantiles = Some(quantiles);
        self
    }

    /// Sets the `max_series` option.
    #[must_use]
    pub const fn max_series(mut self, max_series: usize) -> Self {
        self.declaration.max_series = Some(max_series);
        self
    }
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("location", &self.declaration.location).finish_non_exhaustive()
    }
}

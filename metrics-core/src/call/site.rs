//! The static that `#[instrument]` adds to a function: the function's declaration and the families it resolves to.
//!
//! The compiler processes every field of this static once per annotated function. To keep compile times low, everything
//! that the first call can allocate (families, locks, known values) is behind pointers.

use std::mem::ManuallyDrop;
use std::panic::Location;

use super::declaration::label_source::{LabelList, LabelSource, MAX_LABELS, Role};
use super::declaration::{Declaration, Origin};
use super::feed::families::Families;
use super::feed::reentrant_once::ReentrantOnce;
use super::feed::target::FeedTarget;

/// An annotated function.
pub struct Site {
    pub(super) declaration: Declaration,
    /// Never dropped, as part of a static: the compiler need not prove it in each function. Boxed, since most of a large
    /// service is never called.
    pub(super) families: ManuallyDrop<ReentrantOnce<Box<Families>>>,
}

impl Site {
    /// The site of function `function` in `module`.
    #[must_use]
    #[track_caller]
    pub const fn new(module: &'static str, function: &'static str) -> Self {
        let declaration = Declaration::new(module, function, Location::caller());
        Self { declaration, families: ManuallyDrop::new(ReentrantOnce::new()) }
    }

    /// Without labels that a call begins with: label `function` is the path of the function, read from the closure's type.
    #[must_use]
    pub const fn named_by<F: Fn()>(mut self, _: &F) -> Self {
        self.declaration.closure = Some(std::any::type_name::<F>);
        self
    }

    /// The future of the function can be dropped before it ends.
    #[must_use]
    pub const fn cancellable(mut self) -> Self {
        self.declaration.origins[Role::Cancelled as usize] = Origin::Default;
        self
    }

    /// Option `prefix`.
    #[must_use]
    pub const fn prefix(mut self, prefix: &'static str) -> Self {
        self.declaration.prefix = Some(prefix);
        self
    }

    /// A label with one value.
    #[must_use]
    pub const fn fixed_label(self, name: &'static str, value: &'static str) -> Self {
        self.with_label(name, LabelSource::Fixed(value))
    }

    /// A label whose value comes with each call.
    #[must_use]
    pub const fn label(self, name: &'static str) -> Self {
        self.with_label(name, LabelSource::Call(None))
    }

    /// A label with a closed set of values.
    #[must_use]
    pub const fn label_in(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, LabelSource::Call(Some(LabelList { values, closed: true })))
    }

    /// A label some of whose values are known.
    #[must_use]
    pub const fn label_in_open(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, LabelSource::Call(Some(LabelList { values, closed: false })))
    }

    /// A label whose value comes from what each call returns.
    #[must_use]
    pub const fn result_label(self, name: &'static str) -> Self {
        self.with_label(name, LabelSource::Result(None))
    }

    /// As [`Site::result_label`], with a closed set of values.
    #[must_use]
    pub const fn result_label_in(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, LabelSource::Result(Some(LabelList { values, closed: true })))
    }

    /// As [`Site::result_label`], some of whose values are known.
    #[must_use]
    pub const fn result_label_in_open(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, LabelSource::Result(Some(LabelList { values, closed: false })))
    }

    /// Label `kind` of the exceptions.
    #[must_use]
    pub const fn kind_label(self, name: &'static str) -> Self {
        self.with_label(name, LabelSource::Kind(None))
    }

    /// As [`Site::kind_label`], with a closed set of values.
    #[must_use]
    pub const fn kind_label_in(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, LabelSource::Kind(Some(LabelList { values, closed: true })))
    }

    /// As [`Site::kind_label`], some of whose values are known.
    #[must_use]
    pub const fn kind_label_in_open(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, LabelSource::Kind(Some(LabelList { values, closed: false })))
    }

    const fn with_label(mut self, name: &'static str, source: LabelSource) -> Self {
        let mut at = 0;
        while at < MAX_LABELS && self.declaration.labels[at].is_some() {
            at += 1;
        }
        // The macro refuses more labels.
        if at < MAX_LABELS {
            self.declaration.labels[at] = Some((name, source));
        }
        self
    }

    /// Option `latency`, evaluated once.
    #[must_use]
    pub const fn latency(self, family: fn() -> FeedTarget) -> Self {
        self.with_origin(Role::Latency, Origin::Static(family))
    }

    /// Option `exceptions`, evaluated once.
    #[must_use]
    pub const fn exceptions(self, family: fn() -> FeedTarget) -> Self {
        self.with_origin(Role::Exceptions, Origin::Static(family))
    }

    /// Option `cancelled`, evaluated once.
    #[must_use]
    pub const fn cancelled(self, family: fn() -> FeedTarget) -> Self {
        self.with_origin(Role::Cancelled, Origin::Static(family))
    }

    /// Option `in_flight` with a family, evaluated once.
    #[must_use]
    pub const fn in_flight(self, family: fn() -> FeedTarget) -> Self {
        self.with_origin(Role::InFlight, Origin::Static(family))
    }

    /// Option `in_flight` without a family.
    #[must_use]
    pub const fn in_flight_default(self) -> Self {
        self.with_origin(Role::InFlight, Origin::Default)
    }

    /// Option `latency`, evaluated by each call.
    #[must_use]
    pub const fn latency_per_call(self) -> Self {
        self.with_origin(Role::Latency, Origin::PerCall)
    }

    /// Option `exceptions`, evaluated by each call.
    #[must_use]
    pub const fn exceptions_per_call(self) -> Self {
        self.with_origin(Role::Exceptions, Origin::PerCall)
    }

    /// Option `cancelled`, evaluated by each call.
    #[must_use]
    pub const fn cancelled_per_call(self) -> Self {
        self.with_origin(Role::Cancelled, Origin::PerCall)
    }

    /// Option `in_flight`, evaluated by each call.
    #[must_use]
    pub const fn in_flight_per_call(self) -> Self {
        self.with_origin(Role::InFlight, Origin::PerCall)
    }

    const fn with_origin(mut self, role: Role, origin: Origin) -> Self {
        self.declaration.origins[role as usize] = origin;
        self
    }

    /// Option `buckets`.
    #[must_use]
    pub const fn buckets(mut self, bounds: &'static [f64]) -> Self {
        self.declaration.buckets = Some(bounds);
        self
    }

    /// Option `max_series`.
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

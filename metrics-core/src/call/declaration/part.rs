//! The parts of an attribute from which a function's declaration is built: its labels and options.
//!
//! Each annotated function has a list of them in its static. They are data, so they add no machine code, and the
//! compiler spends little time on them.

use std::panic::Location;

use super::label_source::{LabelList, LabelSource, MAX_LABELS, Role};
use super::{Declaration, Origin};
use crate::call::feed::target::FeedTarget;
use crate::registry::declared::LatencyOptions;

/// The values after `in`, which are evaluated once.
type Values = fn() -> Vec<String>;

/// A label or an option of an annotated function.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// The `function` label. Its value is the function's path, derived from the type name of a closure in it.
    ///
    /// Used for functions whose other labels, if any, are all known only when a call ends.
    NamedBy(fn() -> &'static str),
    /// The function's future can be dropped before it completes.
    Cancellable,
    /// The `prefix` option.
    Prefix(&'static str),
    /// A label with a fixed value.
    FixedLabel(&'static str, &'static str),
    /// A label whose value comes from the arguments of each call.
    Label(&'static str),
    /// Like [`Part::Label`], but with a closed set of values.
    LabelIn(&'static str, Values),
    /// Like [`Part::Label`], but with some known values.
    LabelInOpen(&'static str, Values),
    /// A label whose value comes from the return value of each call.
    ResultLabel(&'static str),
    /// Like [`Part::ResultLabel`], but with a closed set of values.
    ResultLabelIn(&'static str, Values),
    /// Like [`Part::ResultLabel`], but with some known values.
    ResultLabelInOpen(&'static str, Values),
    /// A label whose value is the kind of the exception.
    KindLabel(&'static str),
    /// Like [`Part::KindLabel`], but with a closed set of values.
    KindLabelIn(&'static str, Values),
    /// Like [`Part::KindLabel`], but with some known values.
    KindLabelInOpen(&'static str, Values),
    /// The `latency` option, an expression that is evaluated once.
    Latency(fn() -> FeedTarget),
    /// The `exceptions` option, an expression that is evaluated once.
    Exceptions(fn() -> FeedTarget),
    /// The `cancelled` option, an expression that is evaluated once.
    Cancelled(fn() -> FeedTarget),
    /// The `in_flight` option, an expression that is evaluated once.
    InFlight(fn() -> FeedTarget),
    /// The `in_flight` option for the default family.
    InFlightDefault,
    /// The `latency` option, an expression that each call evaluates.
    LatencyPerCall,
    /// The `exceptions` option, an expression that each call evaluates.
    ExceptionsPerCall,
    /// The `cancelled` option, an expression that each call evaluates.
    CancelledPerCall,
    /// The `in_flight` option, an expression that each call evaluates.
    InFlightPerCall,
    /// The `buckets` option.
    Buckets(&'static [f64]),
    /// The `histogram` option.
    Histogram,
    /// The `quantiles` option.
    Quantiles(&'static [f64]),
    /// The `max_series` option.
    MaxSeries(usize),
}

impl Declaration {
    /// Builds the declaration of `function` in `module`.
    pub(crate) fn new(
        module: &'static str,
        function: &'static str,
        location: &'static Location<'static>,
        parts: &[Part],
    ) -> Self {
        let mut declaration = Self {
            module,
            function,
            closure: None,
            location,
            prefix: None,
            labels: [None; MAX_LABELS],
            origins: [Origin::Default, Origin::Default, Origin::None, Origin::None],
            latency: LatencyOptions::default(),
            max_series: None,
        };
        for part in parts {
            declaration.add(*part);
        }
        declaration
    }

    fn add(&mut self, part: Part) {
        let list = |values: Values, closed: bool| Some(LabelList { values, closed });
        match part {
            Part::NamedBy(closure) => self.closure = Some(closure),
            Part::Cancellable => self.set_origin(Role::Cancelled, Origin::Default),
            Part::Prefix(prefix) => self.prefix = Some(prefix),
            Part::FixedLabel(name, value) => self.add_label(name, LabelSource::Fixed(value)),
            Part::Label(name) => self.add_label(name, LabelSource::Call(None)),
            Part::LabelIn(name, values) => self.add_label(name, LabelSource::Call(list(values, true))),
            Part::LabelInOpen(name, values) => self.add_label(name, LabelSource::Call(list(values, false))),
            Part::ResultLabel(name) => self.add_label(name, LabelSource::Result(None)),
            Part::ResultLabelIn(name, values) => self.add_label(name, LabelSource::Result(list(values, true))),
            Part::ResultLabelInOpen(name, values) => self.add_label(name, LabelSource::Result(list(values, false))),
            Part::KindLabel(name) => self.add_label(name, LabelSource::Kind(None)),
            Part::KindLabelIn(name, values) => self.add_label(name, LabelSource::Kind(list(values, true))),
            Part::KindLabelInOpen(name, values) => self.add_label(name, LabelSource::Kind(list(values, false))),
            Part::Latency(family) => self.set_origin(Role::Latency, Origin::Static(family)),
            Part::Exceptions(family) => self.set_origin(Role::Exceptions, Origin::Static(family)),
            Part::Cancelled(family) => self.set_origin(Role::Cancelled, Origin::Static(family)),
            Part::InFlight(family) => self.set_origin(Role::InFlight, Origin::Static(family)),
            Part::InFlightDefault => self.set_origin(Role::InFlight, Origin::Default),
            Part::LatencyPerCall => self.set_origin(Role::Latency, Origin::PerCall),
            Part::ExceptionsPerCall => self.set_origin(Role::Exceptions, Origin::PerCall),
            Part::CancelledPerCall => self.set_origin(Role::Cancelled, Origin::PerCall),
            Part::InFlightPerCall => self.set_origin(Role::InFlight, Origin::PerCall),
            Part::Buckets(bounds) => self.latency.buckets = Some(bounds),
            Part::Histogram => self.latency.histogram = true,
            Part::Quantiles(quantiles) => self.latency.quantiles = Some(quantiles),
            Part::MaxSeries(max_series) => self.max_series = Some(max_series),
        }
    }

    fn add_label(&mut self, name: &'static str, source: LabelSource) {
        // The macro rejects any further labels.
        if let Some(label) = self.labels.iter_mut().find(|label| label.is_none()) {
            *label = Some((name, source));
        }
    }

    fn set_origin(&mut self, role: Role, origin: Origin) {
        self.origins[role as usize] = origin;
    }
}

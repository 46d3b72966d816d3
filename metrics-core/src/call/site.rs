//! The static part of an annotated function: its labels and options, and what they were resolved to.

use std::mem::ManuallyDrop;
use std::panic::Location;

use super::declaration::function_name;
use super::declaration::label_source::{List, MAX_LABELS, Role, Source};
use super::entering::{Entering, EnteringWith};
use super::feed::families::Families;
use super::feed::reentrant_once::Claim;
use super::feed::target::Fed;
use super::run::guard::{Call, Prepared};
use crate::clock::Moment;
use crate::label_value::{Label, LabelValue};

/// Where the family of a role comes from.
#[derive(Clone, Copy)]
enum Origin {
    /// The site does not feed this role.
    None,
    /// The family with the default name.
    Default,
    /// An expression that is evaluated once.
    Static(fn() -> Fed),
    /// An expression that each call evaluates.
    PerCall,
}

/// An annotated function.
pub struct Site {
    module: &'static str,
    function: &'static str,
    closure: Option<fn() -> &'static str>,
    location: &'static Location<'static>,
    prefix: Option<&'static str>,
    pub(super) labels: [Option<(&'static str, Source)>; MAX_LABELS],
    origins: [Origin; Role::COUNT],
    buckets: Option<&'static [f64]>,
    max_series: Option<usize>,
    /// Never dropped, as part of a static: the compiler need not prove it in each function. Boxed, since most of a large
    /// service is never called.
    pub(super) families: ManuallyDrop<Claim<Box<Families>>>,
}

impl Site {
    /// The site of function `function` in `module`.
    #[must_use]
    #[track_caller]
    pub const fn new(module: &'static str, function: &'static str) -> Self {
        Self {
            module,
            function,
            closure: None,
            location: Location::caller(),
            prefix: None,
            labels: [None; MAX_LABELS],
            origins: [Origin::Default, Origin::Default, Origin::None, Origin::None],
            buckets: None,
            max_series: None,
            families: ManuallyDrop::new(Claim::new()),
        }
    }

    /// Without labels that a call begins with: label `function` is the path of the function, read from the closure's type.
    #[must_use]
    pub const fn named_by<F: Fn()>(mut self, _: &F) -> Self {
        self.closure = Some(std::any::type_name::<F>);
        self
    }

    /// The future of the function can be dropped before it ends.
    #[must_use]
    pub const fn cancellable(mut self) -> Self {
        self.origins[Role::Cancelled as usize] = Origin::Default;
        self
    }

    /// Option `prefix`.
    #[must_use]
    pub const fn prefix(mut self, prefix: &'static str) -> Self {
        self.prefix = Some(prefix);
        self
    }

    /// A label with one value.
    #[must_use]
    pub const fn fixed_label(self, name: &'static str, value: &'static str) -> Self {
        self.with_label(name, Source::Fixed(value))
    }

    /// A label whose value comes with each call.
    #[must_use]
    pub const fn label(self, name: &'static str) -> Self {
        self.with_label(name, Source::Call(None))
    }

    /// A label with a closed set of values.
    #[must_use]
    pub const fn label_in(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, Source::Call(Some(List { values, closed: true })))
    }

    /// A label some of whose values are known.
    #[must_use]
    pub const fn label_in_open(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, Source::Call(Some(List { values, closed: false })))
    }

    /// A label whose value comes from what each call returns.
    #[must_use]
    pub const fn result_label(self, name: &'static str) -> Self {
        self.with_label(name, Source::Result(None))
    }

    /// As [`Site::result_label`], with a closed set of values.
    #[must_use]
    pub const fn result_label_in(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, Source::Result(Some(List { values, closed: true })))
    }

    /// As [`Site::result_label`], some of whose values are known.
    #[must_use]
    pub const fn result_label_in_open(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, Source::Result(Some(List { values, closed: false })))
    }

    /// Label `kind` of the exceptions.
    #[must_use]
    pub const fn kind_label(self, name: &'static str) -> Self {
        self.with_label(name, Source::Kind(None))
    }

    /// As [`Site::kind_label`], with a closed set of values.
    #[must_use]
    pub const fn kind_label_in(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, Source::Kind(Some(List { values, closed: true })))
    }

    /// As [`Site::kind_label`], some of whose values are known.
    #[must_use]
    pub const fn kind_label_in_open(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, Source::Kind(Some(List { values, closed: false })))
    }

    const fn with_label(mut self, name: &'static str, source: Source) -> Self {
        let mut at = 0;
        while at < MAX_LABELS && self.labels[at].is_some() {
            at += 1;
        }
        // The macro refuses more labels.
        if at < MAX_LABELS {
            self.labels[at] = Some((name, source));
        }
        self
    }

    /// Option `latency`, evaluated once.
    #[must_use]
    pub const fn latency(self, family: fn() -> Fed) -> Self {
        self.with_origin(Role::Latency, Origin::Static(family))
    }

    /// Option `exceptions`, evaluated once.
    #[must_use]
    pub const fn exceptions(self, family: fn() -> Fed) -> Self {
        self.with_origin(Role::Exceptions, Origin::Static(family))
    }

    /// Option `cancelled`, evaluated once.
    #[must_use]
    pub const fn cancelled(self, family: fn() -> Fed) -> Self {
        self.with_origin(Role::Cancelled, Origin::Static(family))
    }

    /// Option `in_flight` with a family, evaluated once.
    #[must_use]
    pub const fn in_flight(self, family: fn() -> Fed) -> Self {
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
        self.origins[role as usize] = origin;
        self
    }

    /// Option `buckets`.
    #[must_use]
    pub const fn buckets(mut self, bounds: &'static [f64]) -> Self {
        self.buckets = Some(bounds);
        self
    }

    /// Option `max_series`.
    #[must_use]
    pub const fn max_series(mut self, max_series: usize) -> Self {
        self.max_series = Some(max_series);
        self
    }

    /// Begins a call of a function all of whose labels are fixed. Not inlined: it would be all the code of most functions.
    pub fn start(&'static self) -> Call {
        self.begin_fixed(Moment::now())
    }

    /// As [`Site::start`], for a call that begins later.
    pub fn prepare(&'static self) -> Prepared {
        Prepared::new(Moment::now(), self.resolve_fixed())
    }

    /// Begins a call whose labels are evaluated next.
    #[inline]
    pub fn enter(&'static self) -> Entering {
        Entering::new(self)
    }

    /// Begins a call whose families and labels are evaluated next.
    #[inline]
    pub fn enter_with<'a>(&'static self) -> EnteringWith<'a> {
        EnteringWith::new(self)
    }
}

impl Site {
    pub(super) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    pub(super) fn bucket_bounds(&self) -> Option<&'static [f64]> {
        self.buckets
    }

    pub(super) fn cap(&self) -> Option<usize> {
        self.max_series
    }

    /// Whether the families of the site include one for `role`.
    pub(super) fn feeds(&self, role: Role) -> bool {
        matches!(self.origins[role as usize], Origin::Default | Origin::Static(_))
    }

    /// Whether the future of the function can be dropped before it ends.
    pub(super) fn is_cancellable(&self) -> bool {
        !matches!(self.origins[Role::Cancelled as usize], Origin::None)
    }

    pub(super) fn given(&self, role: Role) -> Option<fn() -> Fed> {
        match self.origins[role as usize] {
            Origin::Static(family) => Some(family),
            Origin::None | Origin::Default | Origin::PerCall => None,
        }
    }

    pub(super) fn default_name(&self, role: Role) -> String {
        let prefix = self.prefix.or_else(|| self.module.split("::").next()).unwrap_or_default();
        let what = if self.closure.is_none() { "request" } else { "function" };
        match role {
            Role::Latency => format!("{prefix}_{what}_latency_seconds"),
            Role::Exceptions => format!("{prefix}_{what}_exceptions_total"),
            Role::Cancelled => format!("{prefix}_{what}_cancelled_total"),
            Role::InFlight => format!("{prefix}_{what}s_in_flight"),
        }
    }

    pub(super) fn help(&self, role: Role) -> &'static str {
        match (role, self.closure.is_none()) {
            (Role::Latency, true) => "Latency of requests, in seconds.",
            (Role::Exceptions, true) => "Requests that ended with an error or a panic.",
            (Role::Cancelled, true) => "Requests that were dropped before they ended.",
            (Role::InFlight, true) => "Requests that are running.",
            (Role::Latency, false) => "Latency of function calls, in seconds.",
            (Role::Exceptions, false) => "Function calls that ended with an error or a panic.",
            (Role::Cancelled, false) => "Function calls that were dropped before they ended.",
            (Role::InFlight, false) => "Function calls that are running.",
        }
    }

    /// The labels that the attribute names, and where they come from.
    pub(super) fn own_labels(&self) -> impl Iterator<Item = (&'static str, Source)> {
        self.labels.iter().flatten().copied()
    }

    /// The path of the function with its type, where that is its label.
    pub(super) fn function_path(&self) -> Option<String> {
        let closure = self.closure?;
        Some(function_name::readable(closure(), &format!("{}::{}", self.module, self.function)))
    }

    /// The labels that a call gets when it ends.
    #[inline]
    pub(super) fn late_labels(&self) -> LateLabels {
        self.labels.iter().flatten().fold(LateLabels::default(), |late, (_, source)| match source {
            Source::Fixed(_) | Source::Call(_) => late,
            Source::Result(_) => LateLabels { results: late.results + 1, ..late },
            Source::Kind(_) => LateLabels { kind: true, ..late },
        })
    }

    pub(super) fn has_known_values(&self) -> bool {
        self.labels.iter().flatten().any(|(_, source)| source.list().is_some())
    }
}

/// How many labels come from the result, and whether there is one for the kind of its error.
#[derive(Clone, Copy, Default)]
pub(super) struct LateLabels {
    pub(super) results: usize,
    pub(super) kind: bool,
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("location", &self.location).finish_non_exhaustive()
    }
}

/// The text of a label's value.
#[inline]
pub fn label<T: LabelValue + ?Sized>(value: &T) -> Label<'_> {
    value.label()
}

/// The values after `in`.
pub fn values<I>(values: I) -> Vec<String>
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    values.into_iter().map(|value| value.as_ref().to_owned()).collect()
}

//! The declaration of an annotated function: its labels and options, as plain data.

pub(crate) mod function_name;
pub(crate) mod label_source;
mod part;

pub use part::Part;

use std::panic::Location;

use crate::call::feed::target::FeedTarget;
use crate::registry::declared::LatencyOptions;
use label_source::{LabelSource, MAX_LABELS, Role};

/// The origin of a role's family.
#[derive(Clone, Copy)]
pub(crate) enum Origin {
    /// The function does not record this role.
    None,
    /// The family with the default name.
    Default,
    /// An expression that is evaluated once.
    Static(fn() -> FeedTarget),
    /// An expression that each call evaluates.
    PerCall,
}

/// The labels and options of an annotated function.
pub(crate) struct Declaration {
    pub(crate) module: &'static str,
    pub(crate) function: &'static str,
    /// Returns the type name of a closure in the function, if the function has the `function` label.
    pub(crate) closure: Option<fn() -> &'static str>,
    pub(crate) location: &'static Location<'static>,
    pub(crate) prefix: Option<&'static str>,
    pub(crate) labels: [Option<(&'static str, LabelSource)>; MAX_LABELS],
    pub(crate) origins: [Origin; Role::COUNT],
    pub(crate) latency: LatencyOptions,
    pub(crate) max_series: Option<usize>,
}

impl Declaration {
    /// Returns true if the function has a family for `role` that is not evaluated per call.
    pub(crate) fn feeds(&self, role: Role) -> bool {
        matches!(self.origins[role as usize], Origin::Default | Origin::Static(_))
    }

    /// Returns true if each call evaluates the family for this role.
    pub(crate) fn is_per_call(&self, role: Role) -> bool {
        matches!(self.origins[role as usize], Origin::PerCall)
    }

    /// Returns true if the function's future can be dropped before it completes.
    pub(crate) fn is_cancellable(&self) -> bool {
        !matches!(self.origins[Role::Cancelled as usize], Origin::None)
    }

    /// Returns true if initializing the families or the known values evaluates user expressions.
    pub(crate) fn runs_user_code(&self) -> bool {
        self.has_known_values() || self.origins.iter().any(|origin| matches!(origin, Origin::Static(_)))
    }

    pub(crate) fn given(&self, role: Role) -> Option<fn() -> FeedTarget> {
        match self.origins[role as usize] {
            Origin::Static(family) => Some(family),
            Origin::None | Origin::Default | Origin::PerCall => None,
        }
    }

    pub(crate) fn default_name(&self, role: Role) -> String {
        let prefix = self.prefix.or_else(|| self.module.split("::").next()).unwrap_or_default();
        let rest = match (role, self.closure.is_none()) {
            (Role::Latency, true) => "_request_latency_seconds",
            (Role::Exceptions, true) => "_request_exceptions_total",
            (Role::Cancelled, true) => "_request_cancelled_total",
            (Role::InFlight, true) => "_requests_in_flight",
            (Role::Latency, false) => "_function_latency_seconds",
            (Role::Exceptions, false) => "_function_exceptions_total",
            (Role::Cancelled, false) => "_function_cancelled_total",
            (Role::InFlight, false) => "_functions_in_flight",
        };
        format!("{prefix}{rest}")
    }

    pub(crate) fn help(&self, role: Role) -> &'static str {
        match (role, self.closure.is_none()) {
            (Role::Latency, true) => "Latency of requests, in seconds.",
            (Role::Exceptions, true) => "Requests that ended with an error or a panic.",
            (Role::Cancelled, true) => "Requests that were dropped before they ended.",
            (Role::InFlight, true) => "Requests in flight.",
            (Role::Latency, false) => "Latency of function calls, in seconds.",
            (Role::Exceptions, false) => "Function calls that ended with an error or a panic.",
            (Role::Cancelled, false) => "Function calls that were dropped before they ended.",
            (Role::InFlight, false) => "Function calls in flight.",
        }
    }

    /// The labels that the attribute declares, with their sources.
    pub(crate) fn own_labels(&self) -> impl Iterator<Item = (&'static str, LabelSource)> {
        self.labels.iter().flatten().copied()
    }

    /// The function's path, including the `Self` type of a method, if the function has the `function` label.
    pub(crate) fn function_path(&self) -> Option<String> {
        let closure = self.closure?;
        Some(function_name::readable(closure(), &format!("{}::{}", self.module, self.function)))
    }

    /// The labels that are known only when a call ends.
    pub(crate) fn late_labels(&self) -> LateLabels {
        self.labels.iter().flatten().fold(LateLabels::default(), |late, (_, source)| match source {
            LabelSource::Fixed(_) | LabelSource::Call(_) => late,
            LabelSource::Result(_) => LateLabels { results: late.results + 1, ..late },
            LabelSource::Kind(_) => LateLabels { kind: true, ..late },
        })
    }

    pub(crate) fn has_known_values(&self) -> bool {
        self.labels.iter().flatten().any(|(_, source)| source.list().is_some())
    }
}

/// Labels known only when a call ends: the number from the result, and a flag for the error kind.
#[derive(Clone, Copy, Default)]
pub(crate) struct LateLabels {
    pub(crate) results: usize,
    pub(crate) kind: bool,
}

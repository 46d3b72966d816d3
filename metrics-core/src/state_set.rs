//! The state set metric: the current state out of a fixed set.

use std::fmt;
use std::marker::PhantomData;

use crate::cell::{Buckets, Handle, gauge as cell};
use crate::gauge::Gauge;
use crate::kind::Kind;
use crate::label_value::LabelValue;
use crate::metric::{MetricVTable, OptionalOwner, sealed};

/// A metric for the current state out of a fixed set: the variants of an enum that derives [`LabelValue`].
///
/// Each state is exported as one series, with the value 1 for the current state and 0 for all others. The label that
/// holds the state is named after the metric. In every scrape, exactly one state of a state set is current. The initial
/// state is the first variant. In all formats other than OpenMetrics, a state set is exported as a gauge. In a family,
/// `max_series` limits the number of state sets, not the number of exported series.
///
/// # Example: the state of a service
///
/// ```
/// use metrics_core::{LabelValue, Registry, StateSet};
///
/// #[derive(LabelValue)]
/// enum State {
///     Starting,
///     Serving,
///     Draining,
/// }
///
/// let registry = Registry::new();
/// let state = StateSet::<State>::builder("service_state", "State of the service.").register_in(&registry)?;
/// state.set(&State::Serving);
/// assert!(state.is(&State::Serving));
/// let text = registry.to_text();
/// assert!(text.contains("\nservice_state{service_state=\"starting\"} 0\n"));
/// assert!(text.contains("\nservice_state{service_state=\"serving\"} 1\n"));
/// # Ok::<(), metrics_core::Error>(())
/// ```
///
/// The states must be a closed set:
///
/// ```compile_fail
/// let state = metrics_core::StateSet::<String>::builder("service_state", "State of the service.").build();
/// ```
pub struct StateSet<S> {
    handle: Handle,
    owner: OptionalOwner,
    state: PhantomData<fn(S)>,
}

impl<S: LabelValue + 'static> StateSet<S> {
    /// All states. Evaluating this constant reports types that are not a closed set.
    pub(crate) const STATES: &'static [&'static str] = match S::VALUES {
        Some([]) => panic!("a `StateSet` needs at least one state"),
        Some(states) => states,
        None => panic!("the states of a `StateSet` must be a closed set: write an enum that derives `LabelValue`"),
    };

    /// Makes `state` the current state. A state that is not one of its type's values is ignored.
    pub fn set(&self, state: &S) {
        if let Some(position) = position(state) {
            cell::update(self.handle, |_| position as f64);
        }
    }

    /// Returns true if `state` is the current state, and false if the series has been removed.
    #[must_use]
    pub fn is(&self, state: &S) -> bool {
        let Some(position) = position(state) else { return false };
        cell::read(self.handle) == Some(position as f64)
    }
}

/// The position of a state among all states. Returns `None` if a custom implementation of [`LabelValue`] returns text
/// that is not one of its values.
fn position<S: LabelValue>(state: &S) -> Option<usize> {
    let label = state.label();
    match label.closed() {
        Some((values, position)) if Some(values) == S::VALUES => Some(position),
        _ => S::VALUES?.iter().position(|value| *value == label.as_str()),
    }
}

impl<S> Clone for StateSet<S> {
    fn clone(&self) -> Self {
        Self { handle: self.handle, owner: self.owner.clone(), state: PhantomData }
    }
}

impl<S> fmt::Debug for StateSet<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateSet").finish_non_exhaustive()
    }
}

impl<S: LabelValue + 'static> sealed::Metric for StateSet<S> {
    // The value is the position of the state. A scrape expands it to one series for each state.
    const VTABLE: &'static MetricVTable =
        &MetricVTable { kind: Kind::StateSet, states: Self::STATES, ..*Gauge::VTABLE };

    fn from_cell(handle: Handle, _: Option<&'static Buckets>, owner: OptionalOwner) -> Self {
        Self { handle, owner, state: PhantomData }
    }
}

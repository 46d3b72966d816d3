//! Calls to annotated functions, from the static in the function to the guard that records how a call ended.
//!
//! A [`Site`] is the static that `#[instrument]` adds to a function. A call passes through these files in order:
//! `entering` takes the label values, `beginning` finds the [`feed::series`] of the call in the thread's cache,
//! `resolve` looks up those that are not cached, and `run` holds the guard while the body runs, then records how the
//! call ended. `late_labels` replaces the first and last steps for functions with labels derived from the result, and
//! `per_call` looks up the series of calls that evaluate their families. `declaration` holds the attribute's arguments,
//! and `feed` holds the families that the function records into.

mod beginning;
mod declaration;
mod entering;
mod feed;
mod late_labels;
mod per_call;
mod resolve;
mod run;
mod site;
#[cfg(test)]
mod without_locks;

pub use declaration::Part;
pub use declaration::label_source::{label, values};
pub use entering::Entering;
pub use feed::target::{FeedTarget, cancelled, cancelled_with_results, exceptions, in_flight, latency};
pub use late_labels::{CallByResult, Ending};
pub use run::error_kind::{KindsOf, NoKinds, kind, kind_of, of_result};
pub use run::future::{create, measure};
pub use run::guard::{AsyncCall, TrackedCall};
pub use run::returned::{NoResult, Returned, exception_if, output};
pub use run::untracked::{Call, CallWithLabels};
pub use site::Site;

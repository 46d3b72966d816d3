//! One instrumented call: the static site in the function, the guard of the call, how it ended.

mod declaration;
mod entering;
mod feed;
mod late_labels;
mod resolve;
mod run;
mod site;
#[cfg(test)]
mod without_locks;

pub use declaration::label_source::{label, values};
pub use entering::Entering;
pub use feed::target::{FeedTarget, cancelled, exceptions, in_flight, latency};
pub use late_labels::{CallByResult, Ending};
pub use run::error_kind::{KindsOf, NoKinds, kind, kind_of, of_result};
pub use run::future::{create, measure};
pub use run::guard::Call;
pub use run::returned::{NoResult, Returned, exception_if, output};
pub use site::Site;

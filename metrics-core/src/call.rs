//! One instrumented call: the static site in the function, the guard of the call, how it ended.

mod by_result;
mod claim;
mod default_family;
mod entering;
mod families;
mod feeds;
mod function_name;
mod guard;
mod held;
mod known;
mod measured;
mod outcome;
mod resolve;
mod site;
mod source;
#[cfg(test)]
mod without_locks;

pub use by_result::{CallByResult, Ending};
pub use entering::Entering;
pub use feeds::{Fed, cancelled, exceptions, in_flight, latency};
pub use guard::Call;
#[cfg(any(feature = "tower", feature = "actix"))]
pub(crate) use held::Held;
pub use held::{KindsOf, NoKinds, kind, kind_of, of_result};
pub use measured::{create, measure};
pub use outcome::{NoResult, Returned, exception_if, output};
pub use site::{Site, label, values};

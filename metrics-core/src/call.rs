//! One instrumented call: the static site in the function, the guard of the call, how it ended.

mod claim;
mod families;
mod feeds;
mod function_name;
mod guard;
mod known;
mod outcome;
mod resolve;
mod site;

pub use feeds::{Fed, cancelled, exceptions, in_flight, latency};
pub use guard::{Call, Entering};
pub use outcome::{NoResult, Returned, exception_if, output};
pub use site::{Site, label, values};

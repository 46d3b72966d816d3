//! Ways out of the process: the only place that does I/O.

pub(crate) mod asked;
pub(crate) mod exposition;
mod own;
pub(crate) mod response;
#[cfg(feature = "http")]
pub(crate) mod server;
mod slots;

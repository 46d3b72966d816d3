//! Ways out of the process: the only place that does I/O.

#[cfg(feature = "push")]
pub(crate) mod graphite;
#[cfg(feature = "exposition")]
pub(crate) mod http;
#[cfg(feature = "push")]
pub(crate) mod push;
#[cfg(feature = "http")]
pub(crate) mod server;

//! Ways out of the process: the only place that does I/O.

#[cfg(feature = "exposition")]
pub(crate) mod asked;
#[cfg(feature = "exposition")]
pub(crate) mod exposition;
#[cfg(feature = "push")]
pub(crate) mod graphite;
#[cfg(feature = "exposition")]
mod own;
#[cfg(feature = "push")]
pub(crate) mod push;
#[cfg(feature = "exposition")]
pub(crate) mod response;
#[cfg(feature = "http")]
pub(crate) mod server;
#[cfg(feature = "exposition")]
mod slots;

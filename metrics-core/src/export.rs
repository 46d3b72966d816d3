//! Exporters. Apart from the `process` module, only these modules perform I/O.

#[cfg(feature = "push")]
pub(crate) mod graphite;
#[cfg(feature = "exposition")]
pub(crate) mod http;
#[cfg(feature = "push")]
pub(crate) mod push;
#[cfg(feature = "http")]
pub(crate) mod server;
#[cfg(feature = "push")]
pub(crate) mod text_file;

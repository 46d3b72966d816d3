//! Exporters. Apart from the `process` module, only these modules perform I/O.

#[cfg(feature = "push")]
pub(crate) mod graphite;
#[cfg(feature = "exposition")]
pub(crate) mod http;
#[cfg(feature = "push-http")]
pub(crate) mod http_client;
#[cfg(feature = "otlp")]
pub(crate) mod otlp;
#[cfg(feature = "push")]
pub(crate) mod push;
#[cfg(feature = "pushgateway")]
pub(crate) mod pushgateway;
#[cfg(feature = "remote-write")]
pub(crate) mod remote_write;
#[cfg(feature = "http")]
pub(crate) mod server;
#[cfg(feature = "statsd")]
pub(crate) mod statsd;
#[cfg(feature = "push")]
pub(crate) mod text_file;

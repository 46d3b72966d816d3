//! A scrape over HTTP: the request, the answer, and how many there are at once.

pub(crate) mod exposition;
pub(crate) mod request;
pub(crate) mod response;
mod scrape_limit;
mod self_metrics;

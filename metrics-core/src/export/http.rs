//! Scrapes over HTTP: the request, the response, and the limit on concurrent scrapes.

pub(crate) mod exposition;
pub(crate) mod live;
pub(crate) mod request;
pub(crate) mod response;
pub(super) mod scrape_limit;
mod self_metrics;

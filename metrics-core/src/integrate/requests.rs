//! The families that a layer records requests into, independent of the framework.
//!
//! The status is a label of the latency only. The exception and cancellation counters of a route are exported at 0 from
//! its first request, regardless of the statuses that occur. If such a series first appeared with its first exception,
//! `rate()` would miss that exception.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Builder, Counter, Error, Family, Gauge, Histogram, OTHER, Registry, Summary};

/// Methods that are label values by themselves.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
/// The path of the metrics themselves, as most have it.
const METRICS: &str = "/metrics";
/// The status by which a layer such as axum's `TimeoutLayer` ends a request that took too long.
const REQUEST_TIMEOUT: u16 = 408;
/// The status that a route is exported with before its first request.
const OK: &str = "200";

/// Measures all requests of a service: a layer for axum, tonic and tower, and a middleware for actix-web.
///
/// | family | type | labels |
/// |---|---|---|
/// | `<prefix>_request_latency_seconds` | summary, or histogram | `path`, `method`, `status` |
/// | `<prefix>_request_exceptions_total` | counter | `path`, `method` |
/// | `<prefix>_request_cancelled_total` | counter | `path`, `method` |
/// | `<prefix>_requests_in_flight` | gauge | `path`, `method` |
///
/// These are the names that [`#[instrument]`](macro@crate::instrument) has, and requests end in the same ways:
///
/// - `path` is the route as it was declared (`/users/{id}`), never what the client sent; `other` if there is none.
/// - `method` is one of the nine of HTTP, else `other`.
/// - `status` is the code of the response; `panic`, `cancelled` or `error` (the service's own) where there is none.
/// - A request lasts until the last byte of its response's body is taken by the server; its latency is observed however
///   it ends.
/// - A status of 500 or more, or 408 (a request that timed out in the service), is an exception ([`RequestMetricsBuilder::exception_if`]); so are a panic, an error of the
///   service or of the body, and a status of gRPC by which the server is at fault.
/// - A client that hangs up, before the response or in the middle of its body, is counted as cancelled.
/// - Requests for `/metrics`, and all that an [`Exposition`](crate::Exposition) answers, are not measured.
///
/// In PromQL, for this as for `#[instrument]`: the share of requests that fail is
/// `sum by (path) (rate(<prefix>_request_exceptions_total[5m])) / sum by (path)
/// (rate(<prefix>_request_latency_seconds_count[5m]))`.
///
/// One layer on a request's way: what stands on an outer and on a nested router, or on a scope too, counts the same
/// requests twice. A layer outside of this one that drops the body it is given makes the request a cancelled one.
///
/// Cloning it gives the same one.
///
/// # Example: all routes of an axum service
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{Router, routing::get};
/// use metrics_core::{Exposition, RequestMetrics};
///
/// let app: Router = Router::new()
///     .route("/users/{id}", get(|| async { "a user" }))
///     .route_service("/metrics", Exposition::new())
///     .layer(RequestMetrics::new("my_service"));
/// # }
/// ```
#[derive(Clone)]
pub struct RequestMetrics {
    inner: Arc<Inner>,
}

struct Inner {
    latency: Latency,
    exceptions: Family<Counter, 2>,
    cancelled: Family<Counter, 2>,
    in_flight: Family<Gauge, 2>,
    /// Paths that are label values where the framework knows no routes.
    paths: BTreeSet<String>,
    excluded: BTreeSet<String>,
    is_exception: IsException,
}

type IsException = Arc<dyn Fn(u16) -> bool + Send + Sync>;

enum Latency {
    Summary(Family<Summary, 3>),
    Histogram(Family<Histogram, 3>),
}

impl RequestMetrics {
    /// Measures in families whose names begin with this, exported through the global registry.
    ///
    /// Families that are registered already, by this or by a function with `#[instrument]` that has the same labels, are
    /// fed too. What cannot be registered counts, is not exported, and is listed by [`Registry::check`].
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self::builder(prefix).build()
    }

    /// Options beyond those of [`RequestMetrics::new`].
    pub fn builder(prefix: &str) -> RequestMetricsBuilder {
        RequestMetricsBuilder {
            prefix: prefix.to_owned(),
            buckets: None,
            max_series: None,
            routes: Vec::new(),
            excluded: BTreeSet::from([METRICS.to_owned()]),
            is_exception: Arc::new(|status| status >= 500 || status == REQUEST_TIMEOUT),
        }
    }

    /// Whether requests for this path, as the client sent it, are not measured.
    pub(super) fn excludes(&self, path: &str) -> bool {
        self.inner.excluded.contains(path)
    }

    /// The label value for a path that no framework has found a route for.
    pub(super) fn known_path<'a>(&self, path: &'a str) -> &'a str {
        if self.inner.paths.contains(path) { path } else { OTHER }
    }

    pub(super) fn is_exception(&self, status: u16) -> bool {
        (self.inner.is_exception)(status)
    }

    /// The series of a route, at 0 from its first request on; the overflow series of all families if one has no room.
    pub(super) fn route(&self, path: &str, method: &str) -> Route {
        let Inner { exceptions, cancelled, in_flight, .. } = &*self.inner;
        let labels = [path, method];
        let within_cap = || {
            let (exceptions, cancelled) = (exceptions.within_cap(labels)?, cancelled.within_cap(labels)?);
            Some(Route { exceptions, cancelled, in_flight: in_flight.within_cap(labels)?, is_overflow: false })
        };
        within_cap().unwrap_or_else(|| Route {
            exceptions: exceptions.overflow(),
            cancelled: cancelled.overflow(),
            in_flight: in_flight.overflow(),
            is_overflow: true,
        })
    }

    /// Records a request, its latency first: a scrape then never reads more exceptions than requests.
    ///
    /// If the latency has no room for the labels, the request is recorded in the overflow series of all families, so that each
    /// route shows at most as many exceptions as requests.
    pub(super) fn record(&self, route: &Route, labels: [&str; 3], latency: Duration, end: RequestEnd) {
        let Inner { exceptions, cancelled, .. } = &*self.inner;
        let is_overflow = route.is_overflow || !self.inner.latency.observe_within_cap(labels, latency);
        if is_overflow {
            self.inner.latency.observe_overflow(latency);
        }
        match end {
            RequestEnd::Ok => {}
            RequestEnd::Exception if is_overflow && !route.is_overflow => exceptions.overflow().inc(),
            RequestEnd::Exception => route.exceptions.inc(),
            RequestEnd::Cancelled if is_overflow && !route.is_overflow => cancelled.overflow().inc(),
            RequestEnd::Cancelled => route.cancelled.inc(),
        }
    }

    /// Makes the series of a route, at 0.
    fn create_route(&self, method: &str, path: &str) {
        let labels = [path, method, OK];
        match &self.inner.latency {
            Latency::Summary(family) => drop(family.labels(labels)),
            Latency::Histogram(family) => drop(family.labels(labels)),
        }
        self.route(path, method);
    }
}

impl Latency {
    /// Returns false, and records nothing, if there is no room for the labels.
    fn observe_within_cap(&self, labels: [&str; 3], latency: Duration) -> bool {
        match self {
            Self::Summary(family) => family.within_cap(labels).map(|series| series.observe(latency)).is_some(),
            Self::Histogram(family) => family.within_cap(labels).map(|series| series.observe(latency)).is_some(),
        }
    }

    fn observe_overflow(&self, latency: Duration) {
        match self {
            Self::Summary(family) => family.overflow().observe(latency),
            Self::Histogram(family) => family.overflow().observe(latency),
        }
    }
}

/// The families that count the end of a request, besides its latency.
#[derive(Clone, Copy)]
pub(super) enum RequestEnd {
    Ok,
    Exception,
    Cancelled,
}

/// The series that requests of one route and method feed.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) exceptions: Counter,
    pub(super) cancelled: Counter,
    pub(super) in_flight: Gauge,
    /// These are the overflow series.
    is_overflow: bool,
}

impl fmt::Debug for RequestMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestMetrics").field("exceptions", &self.inner.exceptions).finish_non_exhaustive()
    }
}

/// The label value of a method.
pub(super) fn method_label(method: &str) -> &'static str {
    METHODS.into_iter().find(|known| *known == method).unwrap_or(OTHER)
}

/// Options of [`RequestMetrics`].
#[derive(Clone)]
#[must_use = "nothing is measured until `build` is called, and what it gives is put into a service"]
pub struct RequestMetricsBuilder {
    prefix: String,
    buckets: Option<Vec<f64>>,
    max_series: Option<usize>,
    routes: Vec<(String, String)>,
    excluded: BTreeSet<String>,
    is_exception: IsException,
}

impl fmt::Debug for RequestMetricsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestMetricsBuilder").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl RequestMetricsBuilder {
    /// The latency is a histogram with these upper bounds, in seconds; a summary if not set.
    pub fn buckets(mut self, bounds: impl Into<Vec<f64>>) -> Self {
        self.buckets = Some(bounds.into());
        self
    }

    /// The most label sets of each family; 2,000 if not set. What is beyond counts under `__overflow__`.
    pub fn max_series(mut self, most: usize) -> Self {
        self.max_series = Some(most);
        self
    }

    /// Routes, as method and path, that are exported at 0, with status 200, before their first request.
    ///
    /// Where no framework tells the route of a request (plain hyper, tonic), the paths of these are the ones that are
    /// label values; any other counts as `other`.
    pub fn known_routes<M: AsRef<str>, P: AsRef<str>>(mut self, routes: impl IntoIterator<Item = (M, P)>) -> Self {
        let routes = routes.into_iter().map(|(method, path)| (method.as_ref().to_owned(), path.as_ref().to_owned()));
        self.routes.extend(routes);
        self
    }

    /// Requests for this path are not measured, like those for `/metrics`. It is compared with what the client sent,
    /// whatever stands under it; what an [`Exposition`](crate::Exposition) answers need not be named.
    pub fn exclude(mut self, path: impl Into<String>) -> Self {
        self.excluded.insert(path.into());
        self
    }

    /// Decides which statuses are exceptions; if not set, 408 and all of 500 or more.
    pub fn exception_if(mut self, is_exception: impl Fn(u16) -> bool + Send + Sync + 'static) -> Self {
        self.is_exception = Arc::new(is_exception);
        self
    }

    /// Registers the families; see [`RequestMetrics::new`].
    #[must_use]
    pub fn build(self) -> RequestMetrics {
        let Ok(built) = self.build_with(&mut Globally);
        built
    }

    /// As [`RequestMetricsBuilder::build`], in `registry`.
    ///
    /// # Errors
    ///
    /// Where a family cannot be registered, since its name is invalid or another family has it.
    pub fn build_in(self, registry: &Registry) -> Result<RequestMetrics, Error> {
        self.build_with(&mut In(registry))
    }

    fn build_with<R: Register>(self, register: &mut R) -> Result<RequestMetrics, R::Error> {
        const ROUTE: [&str; 2] = ["path", "method"];
        const REQUEST: [&str; 3] = ["path", "method", "status"];
        let Self { prefix, buckets, max_series, routes, excluded, is_exception } = self;
        let name = |rest: &str| format!("{prefix}_{rest}");
        let latency = name("request_latency_seconds");
        let help = "Latency of requests, in seconds.";
        let latency = match buckets {
            None => Latency::Summary(register.family(Summary::builder(latency, help).labels(REQUEST), max_series)?),
            Some(bounds) => {
                let builder = Histogram::builder(latency, help).buckets(bounds).labels(REQUEST);
                Latency::Histogram(register.family(builder, max_series)?)
            }
        };
        let counter = |rest, help| Counter::builder(name(rest), help).labels(ROUTE);
        let exceptions = counter("request_exceptions_total", "Requests that ended with an error or a panic.");
        let cancelled = counter("request_cancelled_total", "Requests that were dropped before they ended.");
        let in_flight = Gauge::builder(name("requests_in_flight"), "Requests that are running.");
        let inner = Inner {
            latency,
            exceptions: register.family(exceptions, max_series)?,
            cancelled: register.family(cancelled, max_series)?,
            in_flight: register.family(in_flight.labels(ROUTE), max_series)?,
            paths: routes.iter().map(|(_, path)| path.clone()).collect(),
            excluded,
            is_exception,
        };
        let built = RequestMetrics { inner: Arc::new(inner) };
        for (method, path) in &routes {
            built.create_route(method_label(method), path);
        }
        Ok(built)
    }
}

/// Where families are registered.
trait Register {
    type Error;

    fn family<M: crate::Metric, const N: usize>(
        &mut self,
        builder: Builder<M, Family<M, N>>,
        max_series: Option<usize>,
    ) -> Result<Family<M, N>, Self::Error>;
}

struct Globally;

impl Register for Globally {
    type Error = std::convert::Infallible;

    fn family<M: crate::Metric, const N: usize>(
        &mut self,
        builder: Builder<M, Family<M, N>>,
        max_series: Option<usize>,
    ) -> Result<Family<M, N>, Self::Error> {
        Ok(capped(builder, max_series).register_variant())
    }
}

struct In<'r>(&'r Registry);

impl Register for In<'_> {
    type Error = Error;

    fn family<M: crate::Metric, const N: usize>(
        &mut self,
        builder: Builder<M, Family<M, N>>,
        max_series: Option<usize>,
    ) -> Result<Family<M, N>, Self::Error> {
        capped(builder, max_series).register_variant_in(self.0)
    }
}

fn capped<M: crate::Metric, const N: usize>(
    builder: Builder<M, Family<M, N>>,
    max_series: Option<usize>,
) -> Builder<M, Family<M, N>> {
    match max_series {
        Some(most) => builder.max_series(most),
        None => builder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrapes_read_what_is_a_share_of_the_requests_before_them() {
        // A scrape reads families by name, so exceptions never exceed requests in it.
        let metrics = RequestMetrics::builder("a").build_in(&Registry::new()).expect("an empty registry");
        let Inner { latency: Latency::Summary(latency), exceptions, cancelled, .. } = &*metrics.inner else {
            panic!("a summary if not set");
        };
        assert!(exceptions.name() < latency.name() && cancelled.name() < latency.name());
    }
}

//! `RequestMetrics`, the layer that measures requests, and its options.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::families::{FamilyOptions, Globally, In, Register, RequestFamilies};
use super::placement::LayerPlacement;
use crate::{Error, OTHER, Problem, ProblemKind, Registry};

/// Methods that are label values by themselves.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
/// The path of the metrics themselves, as most have it.
const METRICS: &str = "/metrics";
/// The status by which a layer such as axum's `TimeoutLayer` ends a request that took too long.
const REQUEST_TIMEOUT: u16 = 408;

/// Measures all requests of a service: a layer for axum, tonic and tower, and a middleware for actix-web.
///
/// | family | type | labels |
/// |---|---|---|
/// | `<prefix>_request_latency_seconds` | summary, or histogram | `path`, `method` |
/// | `<prefix>_request_exceptions_total` | counter | `path`, `method` |
/// | `<prefix>_request_cancelled_total` | counter | `path`, `method` |
/// | `<prefix>_requests_in_flight` | gauge | `path`, `method` |
/// | `<prefix>_responses_total` | counter | `path`, `method`, `status` |
///
/// The first four have the names that [`#[instrument]`](macro@crate::instrument) uses, and requests end in the same ways:
///
/// - `path` is the route as it was declared (`/users/{id}`), never what the client sent; `other` if there is none.
/// - `method` is one of the nine of HTTP, else `other`.
/// - `status` is the code of the response; `panic`, `cancelled` or `error` (the service's own) where there is none.
/// - Each request counts once in the latency and once in the responses, so both have the same number of requests. Only the
///   responses have the label `status`: a route's first exceptions then change series that exist, which `rate` can see.
/// - A request lasts until the last byte of its response's body is taken by the server; its latency is observed however
///   it ends.
/// - A status of 500 or more, or 408 (a request that timed out in the service), is an exception
///   ([`RequestMetricsBuilder::exception_if`]); so are a panic, an error of the service or of the body, and a status of gRPC
///   by which the server is at fault.
/// - A client that hangs up, before the response or in the middle of its body, is counted as cancelled.
/// - Requests for `/metrics`, and all that an [`Exposition`](crate::Exposition) answers, are not measured.
///
/// In PromQL, for `RequestMetrics::new("shop")`:
///
/// | question | query |
/// |---|---|
/// | requests per second | `sum by (path) (rate(shop_request_latency_seconds_count[5m]))` |
/// | share of requests that fail | `sum by (path) (rate(shop_request_exceptions_total[5m])) / sum by (path) (rate(shop_request_latency_seconds_count[5m]))` |
/// | responses per second by status | `sum by (path, status) (rate(shop_responses_total[5m]))` |
///
/// [`guide::promql`](crate::guide::promql) has the others, and an alert.
///
/// In axum, the layer must come last: `Router::layer` applies it to the routes that are added before, and it does not see
/// requests to the others. If there are none before, [`Registry::check`] reports that after the first status 404.
///
/// If a request passes two layers with the same families, such as one on an outer and one on a nested router, only the
/// outer one counts it, and [`Registry::check`] reports it. If an outer layer drops the response body, the request counts as
/// canceled.
///
/// Clones share the same families.
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
///     .layer(RequestMetrics::builder("my_service").known_routes([("GET", "/users/{id}")]).build());
/// # }
/// ```
#[derive(Clone)]
pub struct RequestMetrics {
    inner: Arc<Inner>,
}

struct Inner {
    families: RequestFamilies,
    /// Paths that are label values where the framework knows no routes.
    paths: BTreeSet<String>,
    excluded: BTreeSet<String>,
    is_exception: IsException,
    /// The registry that reports problems.
    registry: Registry,
    location: &'static Location<'static>,
    /// Set once a request has passed another layer with the same families.
    is_repeated: AtomicBool,
    placement: LayerPlacement,
}

type IsException = Arc<dyn Fn(u16) -> bool + Send + Sync>;

impl RequestMetrics {
    /// Measures in families whose names begin with this, exported through the global registry.
    ///
    /// Families that are registered already, by this or by a function with `#[instrument]` that has the same labels, are
    /// fed too. What cannot be registered counts, is not exported, and is listed by [`Registry::check`].
    #[must_use]
    #[track_caller]
    pub fn new(prefix: &str) -> Self {
        Self::builder(prefix).build()
    }

    /// Options beyond those of [`RequestMetrics::new`].
    #[track_caller]
    pub fn builder(prefix: &str) -> RequestMetricsBuilder {
        RequestMetricsBuilder {
            prefix: prefix.to_owned(),
            buckets: None,
            max_series: None,
            routes: Vec::new(),
            excluded: BTreeSet::from([METRICS.to_owned()]),
            is_exception: Arc::new(|status| status >= 500 || status == REQUEST_TIMEOUT),
            location: Location::caller(),
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

    pub(super) fn families(&self) -> &RequestFamilies {
        &self.inner.families
    }

    /// Returns true if a layer around this one measures the request into the same families. The first time, reports it.
    pub(super) fn repeats(&self, outer: &Self) -> bool {
        let is_same = self.inner.families.are(&outer.inner.families);
        if is_same && !self.inner.is_repeated.swap(true, Ordering::Relaxed) {
            self.report(
                ProblemKind::RepeatedLayer,
                "a request passes two layers that record into this family; the inner one does not count it. Apply \
                 `RequestMetrics` once, to the outer router or scope",
            );
        }
        is_same
    }

    #[cfg_attr(not(feature = "tower"), allow(dead_code, reason = "only axum's layers have a place among routes"))]
    pub(super) fn placement(&self) -> &LayerPlacement {
        &self.inner.placement
    }

    /// Reports a problem with how the layer is applied.
    pub(super) fn report(&self, kind: ProblemKind, problem: &str) {
        let Inner { families, registry, location, .. } = &*self.inner;
        let family = families.latency_name().to_owned();
        let message = format!("{family}: {problem}");
        registry.add_problem(Problem { kind, family, message, location: Some(location) });
    }
}

impl fmt::Debug for RequestMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestMetrics").field("latency", &self.inner.families.latency_name()).finish_non_exhaustive()
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
    location: &'static Location<'static>,
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

    /// The most label sets of each family, 2,000 if not set; `<prefix>_responses_total` may have ten times as many, since
    /// a route has several statuses. Requests beyond that count under `__overflow__`.
    pub fn max_series(mut self, most: usize) -> Self {
        self.max_series = Some(most);
        self
    }

    /// Routes, as method and path, that are exported at 0 before their first request, in `<prefix>_responses_total` with
    /// status 200. The cap on series does not apply to these series.
    ///
    /// No framework gives a layer the list of its routes, so a route that is not listed is exported from its first request
    /// on. `rate` and `increase` then miss the requests before the first scrape that shows it. Write the paths as the router
    /// declares them, with what they are nested under.
    ///
    /// Where no framework tells the route of a request (plain hyper, tonic), the paths of these are the ones that are
    /// label values; any other counts as `other`.
    pub fn known_routes<M: AsRef<str>, P: AsRef<str>>(mut self, routes: impl IntoIterator<Item = (M, P)>) -> Self {
        let routes = routes.into_iter().map(|(method, path)| (method.as_ref().to_owned(), path.as_ref().to_owned()));
        self.routes.extend(routes);
        self
    }

    /// Excludes requests for this path, as those for `/metrics` are. It is compared with the path that the client sent.
    /// Responses of an [`Exposition`](crate::Exposition) are excluded in any case.
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
        let Self { prefix, buckets, max_series, routes, excluded, is_exception, location } = self;
        let is_route = |(method, path): &&(String, String)| method_label(method) == method && path.starts_with('/');
        let invalid = routes.iter().find(|route| !is_route(route)).cloned();
        let options = FamilyOptions { prefix: &prefix, buckets, max_series, location };
        let families = RequestFamilies::register(options, register)?;
        for (method, path) in &routes {
            families.create_route(path, method_label(method));
        }
        let paths = routes.into_iter().map(|(_, path)| path).collect();
        let registry = register.registry().clone();
        let (is_repeated, placement) = (AtomicBool::new(false), LayerPlacement::default());
        let inner = Inner { families, paths, excluded, is_exception, registry, location, is_repeated, placement };
        let built = RequestMetrics { inner: Arc::new(inner) };
        if let Some(route) = invalid {
            built.report(
                ProblemKind::Declaration,
                &format!(
                    "{route:?} is not a route, so it is exported in vain; write method and path, as in (\"GET\", \"/users/{{id}}\")"
                ),
            );
        }
        Ok(built)
    }
}

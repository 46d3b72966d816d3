//! `RequestMetrics`, the layer that measures requests, and its options.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::families::{FamilyOptions, Globally, In, Register, RequestFamilies};
use super::placement::LayerPlacement;
use crate::internal::InternalError;
use crate::logging::guarded;
use crate::{Error, OTHER, Problem, ProblemKind, Registry};

/// The methods that are used as label values. All other methods become `other`.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
/// The usual path of the metrics endpoint, which is excluded by default.
const METRICS: &str = "/metrics";
/// The status that a layer such as tower-http's `TimeoutLayer` returns for a request that takes too long.
const REQUEST_TIMEOUT: u16 = 408;

/// Measures all requests to a service, as a layer for axum, tonic and tower, or a middleware for actix-web.
///
/// | family | type | labels |
/// |---|---|---|
/// | `<prefix>_request_latency_seconds` | summary, or histogram | `path`, `method` |
/// | `<prefix>_request_exceptions_total` | counter | `path`, `method` |
/// | `<prefix>_request_cancelled_total` | counter | `path`, `method` |
/// | `<prefix>_requests_in_flight` | gauge | `path`, `method` |
/// | `<prefix>_responses_total` | counter | `path`, `method`, `status` |
///
/// The first four families have the same names as the families of [`#[instrument]`](macro@crate::instrument) and
/// distinguish the same outcomes.
///
/// - `path` is the route as declared (`/users/{id}`), never the path that the client sent. It is `other` if no route
///   matches.
/// - `method` is one of the nine HTTP methods, or `other`.
/// - `status` is the status code of the response. Without a response, it is `panic`, `cancelled`, or, if the service
///   returned an error, `error`.
/// - Each request is counted once in the latency family and once in the responses family, so both count the same number
///   of requests. Only the responses family has the `status` label, so the first exception of a route increments an
///   existing series of the exceptions family, which `rate` detects.
/// - A request lasts until the server has read the last byte of the response body. Its latency is observed regardless
///   of the outcome.
/// - Statuses 500 and above, and 408 (a request that timed out in the service), are exceptions; to change this, use
///   [`RequestMetricsBuilder::exception_if`]. A panic, an error from the service or the body, and a gRPC status that
///   reports a server error are also exceptions.
/// - If the client disconnects before the end of the response, the request is counted as canceled.
/// - Requests for `/metrics`, and all responses of an [`Exposition`](crate::Exposition), are not measured.
///
/// In PromQL, for `RequestMetrics::new("shop")`:
///
/// | question | query |
/// |---|---|
/// | requests per second | `sum by (path) (rate(shop_request_latency_seconds_count[5m]))` |
/// | error ratio | `sum by (path) (rate(shop_request_exceptions_total[5m])) / sum by (path) (rate(shop_request_latency_seconds_count[5m]))` |
/// | responses per second by status | `sum by (path, status) (rate(shop_responses_total[5m]))` |
///
/// [`guide::promql`](crate::guide::promql) lists more queries and an alert.
///
/// In axum, apply the layer last. `Router::layer` applies it only to routes that have already been added, so the layer
/// does not see requests to routes that are added later. If no route was added before the layer, [`Registry::check`]
/// reports the problem after ten responses with status 404.
///
/// If a request passes through two layers with the same families, such as one on an outer router and one on a nested
/// router, only the outer layer counts the request, and [`Registry::check`] reports the problem. If an outer layer
/// drops the response body, the request counts as canceled.
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
    /// The paths that are used as label values if the framework does not report the route.
    paths: BTreeSet<String>,
    excluded: BTreeSet<String>,
    is_exception: IsException,
    /// The registry to which problems are reported.
    registry: Registry,
    location: &'static Location<'static>,
    /// `true` once a request has passed through another layer with the same families.
    is_repeated: AtomicBool,
    placement: LayerPlacement,
}

type IsException = Arc<dyn Fn(u16) -> bool + Send + Sync>;

impl RequestMetrics {
    /// Records into families whose names begin with `prefix`, in the global registry.
    ///
    /// If a family is already registered by another layer, or by a function with `#[instrument]` and the same labels,
    /// the new layer records into that family. A family that cannot be registered still counts requests, but is not
    /// exported, and [`Registry::check`] reports the problem.
    #[must_use]
    #[track_caller]
    pub fn new(prefix: &str) -> Self {
        Self::builder(prefix).build()
    }

    /// Returns a builder with more options than [`RequestMetrics::new`].
    #[track_caller]
    pub fn builder(prefix: &str) -> RequestMetricsBuilder {
        RequestMetricsBuilder {
            prefix: prefix.to_owned(),
            buckets: None,
            histogram: false,
            quantiles: None,
            max_series: None,
            routes: Vec::new(),
            excluded: BTreeSet::from([METRICS.to_owned()]),
            is_exception: Arc::new(|status| status >= 500 || status == REQUEST_TIMEOUT),
            location: Location::caller(),
        }
    }

    /// Returns true if requests for this path, as the client sent it, are excluded.
    pub(super) fn excludes(&self, path: &str) -> bool {
        self.inner.excluded.contains(path)
    }

    /// Returns the label value for a path if the framework does not report the route.
    pub(super) fn known_path<'a>(&self, path: &'a str) -> &'a str {
        if self.inner.paths.contains(path) { path } else { OTHER }
    }

    /// Returns true if a response with this status is an exception, or if the rule that decides this panics. The
    /// request is then counted, and the panic does not reach the server.
    pub(super) fn is_exception(&self, status: u16) -> bool {
        guarded(|| (self.inner.is_exception)(status)).unwrap_or_else(|| {
            InternalError::ExceptionRulePanic.record(&self.inner.location);
            true
        })
    }

    pub(super) fn families(&self) -> &RequestFamilies {
        &self.inner.families
    }

    /// Returns true if `outer`, a layer around this one, records the request into the same families.
    ///
    /// Also reports the problem the first time.
    pub(super) fn repeats(&self, outer: &Self) -> bool {
        let is_same = self.inner.families.overlap(&outer.inner.families);
        if is_same && !self.inner.is_repeated.swap(true, Ordering::Relaxed) {
            self.report(
                ProblemKind::RepeatedLayer,
                "a request passes two layers that record into this family; the inner one does not count it. Apply \
                 `RequestMetrics` once, to the outer router or scope",
            );
        }
        is_same
    }

    #[cfg_attr(not(feature = "tower"), allow(dead_code, reason = "only axum layers can precede routes"))]
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

/// Returns the label value for a method.
pub(super) fn method_label(method: &str) -> &'static str {
    METHODS.into_iter().find(|known| *known == method).unwrap_or(OTHER)
}

/// A builder for [`RequestMetrics`].
#[derive(Clone)]
#[must_use = "nothing is measured until `build` is called and the result is applied to a service"]
pub struct RequestMetricsBuilder {
    prefix: String,
    buckets: Option<Vec<f64>>,
    histogram: bool,
    quantiles: Option<Vec<f64>>,
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
    /// Makes the latency a histogram with these upper bounds, in seconds. By default, the latency is a summary.
    ///
    /// [`linear_buckets`](crate::linear_buckets) and [`exponential_buckets`](crate::exponential_buckets) calculate
    /// regular bounds.
    pub fn buckets(mut self, bounds: impl Into<Vec<f64>>) -> Self {
        self.buckets = Some(bounds.into());
        self
    }

    /// Makes the latency a histogram with native buckets and, unless [`RequestMetricsBuilder::buckets`] sets others,
    /// the [default classic buckets](crate::DEFAULT_BUCKETS). PromQL calculates percentiles from either.
    pub fn histogram(mut self) -> Self {
        self.histogram = true;
        self
    }

    /// Also exports these quantiles of the latencies of the last ten minutes; see
    /// [`Builder::quantiles`](crate::Builder::quantiles).
    ///
    /// They have no effect if the latency is a histogram, from which PromQL calculates any quantile.
    pub fn quantiles(mut self, quantiles: impl Into<Vec<f64>>) -> Self {
        self.quantiles = Some(quantiles.into());
        self
    }

    /// Limits the number of label sets per family. The default is 2,000.
    ///
    /// `<prefix>_responses_total` may have ten times as many label sets, because a route can have several statuses.
    /// Requests with additional label sets are counted under `__overflow__`.
    pub fn max_series(mut self, most: usize) -> Self {
        self.max_series = Some(most);
        self
    }

    /// Adds known routes, each given as a method and a path. Their series are exported at 0 before the first request.
    ///
    /// In `<prefix>_responses_total`, only the series with status 200 is exported in advance. The series of known
    /// routes do not count toward [`RequestMetricsBuilder::max_series`].
    ///
    /// Frameworks do not pass their list of routes to layers, so an unlisted route is exported only after its first
    /// request. `rate` and `increase` then miss the requests before the first scrape that contains the route. Write
    /// each path as the router declares it, including the prefixes under which the router is nested.
    ///
    /// If the framework does not report the route of a request (plain hyper, tonic), the paths of the known routes are
    /// used as label values, and any other path becomes `other`.
    pub fn known_routes<M: AsRef<str>, P: AsRef<str>>(mut self, routes: impl IntoIterator<Item = (M, P)>) -> Self {
        let routes = routes.into_iter().map(|(method, path)| (method.as_ref().to_owned(), path.as_ref().to_owned()));
        self.routes.extend(routes);
        self
    }

    /// Excludes requests for this path, in addition to `/metrics`.
    ///
    /// `path` is compared with the request path as the client sent it. Responses of an
    /// [`Exposition`](crate::Exposition) are always excluded.
    pub fn exclude(mut self, path: impl Into<String>) -> Self {
        self.excluded.insert(path.into());
        self
    }

    /// Sets the statuses that count as exceptions. By default, these are 408 and all statuses 500 and above.
    ///
    /// If `is_exception` panics, the request counts as an exception.
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

    /// Like [`RequestMetricsBuilder::build`], but registers the families in `registry`.
    ///
    /// # Errors
    ///
    /// Returns an error, and registers none of the families, if one of them cannot be registered because its name is
    /// invalid or already used by another family.
    pub fn build_in(self, registry: &Registry) -> Result<RequestMetrics, Error> {
        let mut register = In::new(registry);
        let built = self.build_with(&mut register);
        if built.is_err() {
            register.withdraw();
        }
        built
    }

    fn build_with<R: Register>(self, register: &mut R) -> Result<RequestMetrics, R::Error> {
        let Self { prefix, buckets, histogram, quantiles, max_series, routes, excluded, is_exception, location } = self;
        let is_route = |(method, path): &&(String, String)| method_label(method) == method && path.starts_with('/');
        let invalid = routes.iter().find(|route| !is_route(route)).cloned();
        let options = FamilyOptions { prefix: &prefix, buckets, histogram, quantiles, max_series, location };
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
                    "{route:?} is not a route, so no request matches it; write a method and a path, as in (\"GET\", \
                     \"/users/{{id}}\")"
                ),
            );
        }
        Ok(built)
    }
}

//! The matched route of an axum request, the path that the client sent, and a check of the layer's placement.
//!
//! axum provides a route's pattern as a request extension. If a service is nested with `nest_service`, axum hides the
//! pattern from that service. Only routers can access the pattern, and they prepend it to their own patterns. To read
//! the pattern, this module passes a copy of the extensions through a router with one wildcard route. Patterns are
//! defined in the code, so their number is bounded and they never contain client-supplied text.

use std::any::type_name;
use std::borrow::Cow;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use ::axum::body::Body;
use ::axum::extract::{MatchedPath, OriginalUri};
use ::axum::routing::{Route, any};
use ::axum::{Extension, Router};
use http::{Extensions, Request, StatusCode, Uri};
use tower_layer::layer_fn;
use tower_service::Service;

use super::measured::MeasuredRequest;
use super::requests::RequestMetrics;
use crate::ProblemKind;

/// The pattern that matches everything below the prefix of a nested service.
const BELOW: &str = "/{*rest}";

/// Returns the matched route as declared, or `None` if no route matched.
pub(super) fn matched_route(extensions: &Extensions) -> Option<Cow<'_, str>> {
    match extensions.get::<MatchedPath>() {
        Some(path) => Some(Cow::Borrowed(path.as_str())),
        // Only a router inserts `OriginalUri`, so without it, no service is nested.
        None => extensions.get::<OriginalUri>().and_then(|_| nested_service(extensions)).map(Cow::Owned),
    }
}

/// Returns the pattern of the nested service that handles the request, such as `/static/{*rest}`.
fn nested_service(extensions: &Extensions) -> Option<String> {
    static ASKED: LazyLock<Router> =
        LazyLock::new(|| Router::new().route(BELOW, any(|path: MatchedPath| async { Extension(path) })));
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = Uri::from_static("/asked");
    *request.extensions_mut() = extensions.clone();
    let response = pin!(ASKED.clone().call(request)).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(response)) = response else { return None };
    let path = response.extensions().get::<MatchedPath>()?.as_str();
    (path != BELOW).then(|| path.to_owned())
}

/// Returns the path that the client sent. A nested router sees only part of it.
pub(super) fn sent_path<B>(request: &Request<B>) -> &str {
    request.extensions().get::<OriginalUri>().map_or_else(|| request.uri().path(), |uri| uri.path())
}

/// Counts a service that an axum router passes to the layer.
pub(super) fn add_service<S>(metrics: &RequestMetrics) {
    if type_name::<S>() == type_name::<Route>() {
        metrics.placement().add_service();
    }
}

/// Reports a layer that was applied before the routes, once enough requests have matched no route.
pub(super) fn check_placement(request: &MeasuredRequest, status: StatusCode) {
    let Some(metrics) = request.metrics() else { return };
    if status != StatusCode::NOT_FOUND {
        metrics.placement().settle();
    } else if metrics.placement().miss(services_without_routes) {
        metrics.report(
            ProblemKind::LayerBeforeRoutes,
            "`RequestMetrics` is applied to an axum router that has no routes, so it does not see requests to routes \
             that are added later. Call `.layer(..)` after the last `.route(..)`",
        );
    }
}

/// Returns the number of services that a router without routes passes to a layer.
fn services_without_routes() -> usize {
    static GIVEN: LazyLock<usize> = LazyLock::new(|| {
        let given = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&given);
        let _: Router = Router::new().layer(layer_fn(move |route: Route| {
            counted.fetch_add(1, Ordering::Relaxed);
            route
        }));
        given.load(Ordering::Relaxed)
    });
    *GIVEN
}

//! The matched route of an axum request, and the path that the client sent.
//!
//! axum provides the pattern of a route as an extension of the request. It hides that of a service which is nested with
//! `nest_service`, except from routers: one that is nested there puts the prefix before its own patterns. So a router with
//! a single route is asked. Patterns come from the code, so their number is bounded; what the client sent never shows.

use std::borrow::Cow;
use std::future::Future;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use ::axum::body::Body;
use ::axum::extract::{MatchedPath, OriginalUri};
use ::axum::routing::any;
use ::axum::{Extension, Router};
use http::{Extensions, Request, Uri};
use tower_service::Service;

/// The pattern of everything below the prefix of a nested service.
const BELOW: &str = "/{*rest}";

/// Returns the route as it was declared, if there is one.
pub(super) fn matched_route(extensions: &Extensions) -> Option<Cow<'_, str>> {
    match extensions.get::<MatchedPath>() {
        Some(path) => Some(Cow::Borrowed(path.as_str())),
        // Only a router inserts the URI, so without it no service is nested.
        None => extensions.get::<OriginalUri>().and_then(|_| nested_service(extensions)).map(Cow::Owned),
    }
}

/// Returns the pattern of the nested service that the request has come to, such as `/static/{*rest}`.
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

/// Returns the path that the client sent. A nested router sees only a part of it.
pub(super) fn sent_path<B>(request: &Request<B>) -> &str {
    request.extensions().get::<OriginalUri>().map_or_else(|| request.uri().path(), |uri| uri.path())
}

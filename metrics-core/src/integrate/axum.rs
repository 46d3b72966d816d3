//! The matched route of an axum request, and the path that the client sent.

use ::axum::extract::{MatchedPath, OriginalUri};

/// The route as it was declared, if there is one.
pub(super) fn matched_route(extensions: &http::Extensions) -> Option<&str> {
    extensions.get::<MatchedPath>().map(MatchedPath::as_str)
}

/// The path that the client sent, of which a nested router sees a part only.
pub(super) fn sent_path<B>(request: &http::Request<B>) -> &str {
    request.extensions().get::<OriginalUri>().map_or_else(|| request.uri().path(), |uri| uri.path())
}

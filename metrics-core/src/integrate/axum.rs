//! The matched route of an axum request.

use ::axum::extract::MatchedPath;

/// The route as it was declared, if there is one.
pub(super) fn matched_route(extensions: &http::Extensions) -> Option<&str> {
    extensions.get::<MatchedPath>().map(MatchedPath::as_str)
}

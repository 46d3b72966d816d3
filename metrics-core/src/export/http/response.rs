//! Scrape requests and responses as types of the `http` crate, which most servers use.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};

use super::exposition::{Body, Exposition, ScrapeResponse};
use super::live::LivePage;
use super::request::ScrapeRequest;
use super::scrape_limit::Progress;

impl Exposition {
    /// Responds to a request. The request's path and body are ignored.
    ///
    /// # Example: a handler for a server that uses the `http` crate
    ///
    /// ```
    /// use http::{Request, Response};
    /// use metrics_core::{Exposition, ExpositionBody};
    ///
    /// async fn metrics(request: Request<()>) -> Response<ExpositionBody> {
    ///     Exposition::new().respond(&request).await
    /// }
    /// ```
    pub fn respond<B>(&self, request: &Request<B>) -> ExpositionFuture {
        let (exposition, scrape) = (self.clone(), scrape_request(request));
        ExpositionFuture(Box::pin(async move { exposition.respond_to(scrape).await.into_response() }))
    }
}

impl LivePage {
    /// Responds to a request. The request's path and body are ignored.
    ///
    /// # Example: a handler for a server that uses the `http` crate
    ///
    /// ```
    /// use http::{Request, Response};
    /// use metrics_core::{Exposition, ExpositionBody};
    ///
    /// async fn live(request: Request<()>) -> Response<ExpositionBody> {
    ///     Exposition::new().live_page().respond(&request).await
    /// }
    /// ```
    pub fn respond<B>(&self, request: &Request<B>) -> ExpositionFuture {
        let (page, scrape) = (self.clone(), scrape_request(request));
        ExpositionFuture(Box::pin(async move { page.respond_to(scrape).await.into_response() }))
    }
}

/// The future returned by [`Exposition::respond`] and [`LivePage::respond`].
#[must_use = "futures do nothing unless awaited"]
pub struct ExpositionFuture(Pin<Box<dyn Future<Output = Response<ExpositionBody>> + Send>>);

impl Future for ExpositionFuture {
    type Output = Response<ExpositionBody>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for ExpositionFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpositionFuture").finish_non_exhaustive()
    }
}

/// Converts a request from the `http` crate to a scrape request.
pub(crate) fn scrape_request<B>(request: &Request<B>) -> ScrapeRequest {
    let mut scrape = ScrapeRequest::new(request.method().as_str(), request.uri().query());
    for (name, value) in request.headers() {
        scrape.header(name.as_str(), value.as_bytes());
    }
    scrape
}

/// Marks an exposition's responses so that [`RequestMetrics`](crate::integrate::RequestMetrics) does not measure them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IsExposition;

impl ScrapeResponse {
    pub(crate) fn into_response(self) -> Response<ExpositionBody> {
        let mut response = Response::new(ExpositionBody(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response.extensions_mut().insert(IsExposition);
        response
    }
}

/// The body of a scrape response. It is encoded while it is sent.
///
/// The body ends with an error if the client read too slowly and another scrape needed its slot.
/// `ExpositionBody::default()` is an empty body, for responses that contain no metrics.
#[derive(Debug, Default)]
pub struct ExpositionBody(Body);

impl ExpositionBody {
    /// Returns a handle that records the client's progress, if the response holds a slot.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only the server sees the connection"))]
    pub(crate) fn progress(&self) -> Option<Progress> {
        self.0.progress()
    }
}

impl http_body::Body for ExpositionBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_next(cx).map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.len().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

//! Tower layers and services, for axum, tonic and hyper.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

#[cfg(feature = "axum")]
use super::axum::{add_service, check_placement, matched_route, sent_path};
use super::measured::{MeasuredBytes, MeasuredRequest, ResponseHead, Verdict};
use super::recording::RequestOutcome;
use super::requests::RequestMetrics;
use crate::export::http::response::IsExposition;
use crate::{Exposition, ExpositionBody, ExpositionFuture, LivePage};

/// The gRPC status codes that are server errors according to the OpenTelemetry conventions: unknown, deadline exceeded,
/// unimplemented, internal, unavailable and data loss.
const GRPC_FAULTS: [&[u8]; 6] = [b"2", b"4", b"12", b"13", b"14", b"15"];
const GRPC_STATUS: &str = "grpc-status";

#[cfg(not(feature = "axum"))]
fn sent_path<B>(request: &Request<B>) -> &str {
    request.uri().path()
}

/// Returns `None`, because only axum reports the route.
#[cfg(not(feature = "axum"))]
fn matched_route(_: &http::Extensions) -> Option<std::borrow::Cow<'_, str>> {
    None
}

#[cfg(not(feature = "axum"))]
fn add_service<S>(_: &RequestMetrics) {}

#[cfg(not(feature = "axum"))]
fn check_placement(_: &MeasuredRequest, _: http::StatusCode) {}

impl<S> Layer<S> for RequestMetrics {
    type Service = MeasuredService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        add_service::<S>(self);
        MeasuredService { inner, metrics: self.clone() }
    }
}

/// A service whose requests are measured. Created by the [`RequestMetrics`] layer.
#[derive(Clone, Debug)]
pub struct MeasuredService<S> {
    inner: S,
    metrics: RequestMetrics,
}

impl<S, A, B> Service<Request<A>> for MeasuredService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: Body,
{
    type Response = Response<MeasuredBody<B>>;
    type Error = S::Error;
    type Future = MeasuredFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let mut measured = begin(&self.metrics, &request);
        if let Some(mark) = measured.mark(request.extensions().get()) {
            request.extensions_mut().insert(mark);
        }
        let future = measured.before(|| self.inner.call(request));
        MeasuredFuture { future, request: measured }
    }
}

fn begin<B>(metrics: &RequestMetrics, request: &Request<B>) -> MeasuredRequest {
    let (outer, route) = (request.extensions().get(), matched_route(request.extensions()));
    if route.is_some() {
        metrics.placement().settle();
    }
    MeasuredRequest::begin(metrics, outer, sent_path(request), route.as_deref(), request.method().as_str())
}

pin_project! {
    /// The future returned by a [`MeasuredService`].
    pub struct MeasuredFuture<F> {
        #[pin]
        future: F,
        request: MeasuredRequest,
    }
}

impl<F, B, E> Future for MeasuredFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<MeasuredBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.request.during(|| this.future.poll(cx)));
        if result.is_err() {
            this.request.fail(None);
        }
        Poll::Ready(result.map(|response| measured(response, this.request)))
    }
}

/// Records the head of the response, and wraps the body so that its end is recorded.
fn measured<B: Body>(response: Response<B>, request: &mut MeasuredRequest) -> Response<MeasuredBody<B>> {
    let (head, body) = response.into_parts();
    check_placement(request, head.status);
    let is_grpc = head.headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    let declared = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let bytes = request.respond(&ResponseHead {
        status: head.status.as_u16(),
        is_exposition: head.extensions.get::<IsExposition>().is_some(),
        length: body.size_hint().exact().or(declared),
        is_end: body.is_end_stream(),
        verdict: match is_grpc {
            true if is_fault(&head.headers) => Verdict::Fault,
            true => Verdict::Trailers,
            false => Verdict::Status,
        },
    });
    Response::from_parts(head, MeasuredBody { body, bytes, is_grpc })
}

fn is_fault(headers: &HeaderMap) -> bool {
    headers.get(GRPC_STATUS).is_some_and(|status| GRPC_FAULTS.contains(&status.as_bytes()))
}

pin_project! {
    /// The body of a response from a [`MeasuredService`].
    pub struct MeasuredBody<B> {
        #[pin]
        body: B,
        bytes: MeasuredBytes,
        is_grpc: bool,
    }
}

impl<B: Default> Default for MeasuredBody<B> {
    /// Returns a body that is not measured, for a response that is created by another layer rather than the service.
    fn default() -> Self {
        Self { body: B::default(), bytes: MeasuredBytes::default(), is_grpc: false }
    }
}

impl<B: fmt::Debug> fmt::Debug for MeasuredBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeasuredBody").field("body", &self.body).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl<B: Body> Body for MeasuredBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let polled = this.bytes.during(|| this.body.as_mut().poll_frame(cx));
        match &polled {
            Poll::Pending => {}
            Poll::Ready(None) => this.bytes.end(RequestOutcome::Done),
            Poll::Ready(Some(Err(_))) => this.bytes.end(RequestOutcome::Failed),
            Poll::Ready(Some(Ok(frame))) => {
                if *this.is_grpc && frame.trailers_ref().is_some_and(is_fault) {
                    this.bytes.end(RequestOutcome::Failed);
                } else if frame.is_trailers() || this.body.is_end_stream() {
                    this.bytes.end(RequestOutcome::Done);
                }
                if let Some(data) = frame.data_ref() {
                    this.bytes.read(data_len(data));
                }
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn data_len(data: &impl bytes::Buf) -> u64 {
    data.remaining() as u64
}

/// Implements the service that responds to requests with a handler.
macro_rules! service {
    ($handler:ty) => {
        impl<B> Service<Request<B>> for $handler {
            type Response = Response<ExpositionBody>;
            type Error = Infallible;
            type Future = ExpositionServiceFuture;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: Request<B>) -> Self::Future {
                ExpositionServiceFuture(self.respond(&request))
            }
        }
    };
}

service!(Exposition);
service!(LivePage);

/// The future returned by an [`Exposition`] or [`LivePage`] when it is called as a service.
#[derive(Debug)]
pub struct ExpositionServiceFuture(ExpositionFuture);

impl Future for ExpositionServiceFuture {
    type Output = Result<Response<ExpositionBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(Ok)
    }
}

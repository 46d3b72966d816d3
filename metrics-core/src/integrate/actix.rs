//! The middleware and the resource for actix-web.

use std::future::{Future, Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready as until_ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, Resource, web};
use bytes::Bytes;
use pin_project_lite::pin_project;

use super::measured::{MeasuredBytes, MeasuredRequest, ResponseHead, Verdict};
use super::recording::RequestOutcome;
use super::requests::RequestMetrics;
use crate::export::http::exposition::{Body, ScrapeResponse};
use crate::export::http::request::ScrapeRequest;
use crate::{Exposition, LivePage};

/// Marks requests that are served by an exposition. Their responses are not measured.
struct IsExposition;

impl Exposition {
    /// Returns an actix-web resource that serves the metrics under this path. Pass it to `App::service`.
    ///
    /// # Example: serving metrics from an actix-web app
    ///
    /// ```
    /// use actix_web::App;
    /// use metrics_core::Exposition;
    ///
    /// let app = App::new().service(Exposition::new().resource("/metrics"));
    /// ```
    pub fn resource(&self, path: &str) -> Resource {
        let exposition = self.clone();
        resource(path, move |request| exposition.clone().respond_to(request))
    }
}

impl LivePage {
    /// Returns an actix-web resource that serves the page under this path. Pass it to `App::service`.
    ///
    /// # Example: serving the live page from an actix-web app
    ///
    /// ```
    /// use actix_web::App;
    /// use metrics_core::Exposition;
    ///
    /// let app = App::new().service(Exposition::new().live_page().resource("/live"));
    /// ```
    pub fn resource(&self, path: &str) -> Resource {
        let page = self.clone();
        resource(path, move |request| page.clone().respond_to(request))
    }
}

fn resource<F>(path: &str, respond: impl Fn(ScrapeRequest) -> F + Clone + 'static) -> Resource
where
    F: Future<Output = ScrapeResponse> + 'static,
{
    web::resource(path).to(move |request: HttpRequest| {
        request.extensions_mut().insert(IsExposition);
        let answer = respond(scrape_request(&request));
        async move { response(answer.await) }
    })
}

fn scrape_request(request: &HttpRequest) -> ScrapeRequest {
    let mut scrape = ScrapeRequest::new(request.method().as_str(), Some(request.query_string()));
    for (name, value) in request.headers() {
        scrape.header(name.as_str(), value.as_bytes());
    }
    scrape
}

fn response(answer: ScrapeResponse) -> HttpResponse<ExpositionBody> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::with_body(status, ExpositionBody(answer.body));
    for (name, value) in answer.headers {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// The response body for a scrape. It is encoded while it is sent.
#[derive(Debug)]
pub struct ExpositionBody(Body);

impl MessageBody for ExpositionBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        match self.0.len() {
            Some(length) => BodySize::Sized(length),
            None if self.0.is_empty() => BodySize::None,
            None => BodySize::Stream,
        }
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, io::Error>>> {
        self.0.poll_next(cx)
    }
}

impl<S, B> Transform<S, ServiceRequest> for RequestMetrics
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<MeasuredBody<B>>;
    type Error = actix_web::Error;
    type Transform = MeasuredService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(MeasuredService { service, metrics: self.clone() }))
    }
}

/// A service whose requests are measured. Created by the middleware [`RequestMetrics`].
#[derive(Debug)]
pub struct MeasuredService<S> {
    service: S,
    metrics: RequestMetrics,
}

impl<S, B> Service<ServiceRequest> for MeasuredService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<MeasuredBody<B>>;
    type Error = actix_web::Error;
    type Future = MeasuredFuture<S::Future>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let mut measured = begin(&self.metrics, &request);
        let mark = measured.mark(request.extensions().get());
        if let Some(mark) = mark {
            request.extensions_mut().insert(mark);
        }
        let future = measured.before(|| self.service.call(request));
        MeasuredFuture { future, request: measured }
    }
}

fn begin(metrics: &RequestMetrics, request: &ServiceRequest) -> MeasuredRequest {
    let (extensions, route) = (request.extensions(), request.match_pattern());
    MeasuredRequest::begin(metrics, extensions.get(), request.path(), route.as_deref(), request.method().as_str())
        .reads_connect_bodies()
}

pin_project! {
    /// The future of a [`MeasuredService`].
    pub struct MeasuredFuture<F> {
        #[pin]
        future: F,
        request: MeasuredRequest,
    }
}

impl<F, B> Future for MeasuredFuture<F>
where
    F: Future<Output = Result<ServiceResponse<B>, actix_web::Error>>,
    B: MessageBody,
{
    type Output = Result<ServiceResponse<MeasuredBody<B>>, actix_web::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = until_ready!(this.request.during(|| this.future.poll(cx)));
        if let Err(error) = &result {
            // The status that the server sends for this error.
            this.request.fail(Some(error.as_response_error().status_code().as_u16()));
        }
        Poll::Ready(result.map(|response| measured(response, this.request)))
    }
}

/// Records the head of the response, and wraps the body so that its end is recorded.
fn measured<B: MessageBody>(
    response: ServiceResponse<B>,
    request: &mut MeasuredRequest,
) -> ServiceResponse<MeasuredBody<B>> {
    let size = response.response().body().size();
    // actix evaluates guards during routing, so the final pattern is known only now.
    request.route_again(response.request().match_pattern().as_deref());
    let bytes = request.respond(&ResponseHead {
        status: response.status().as_u16(),
        is_exposition: response.request().extensions().get::<IsExposition>().is_some(),
        length: if let BodySize::Sized(length) = size { Some(length) } else { None },
        is_end: matches!(size, BodySize::None),
        verdict: Verdict::Status,
    });
    response.map_body(|_, body| MeasuredBody { body, bytes })
}

pin_project! {
    /// The body of a response from a [`MeasuredService`].
    pub struct MeasuredBody<B> {
        #[pin]
        body: B,
        bytes: MeasuredBytes,
    }
}

impl<B: MessageBody> MessageBody for MeasuredBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.project();
        let polled = this.bytes.during(|| this.body.poll_next(cx));
        match &polled {
            Poll::Pending => {}
            Poll::Ready(None) => this.bytes.end(RequestOutcome::Done),
            Poll::Ready(Some(Err(_))) => this.bytes.end(RequestOutcome::Failed),
            Poll::Ready(Some(Ok(bytes))) => this.bytes.read(bytes.len() as u64),
        }
        polled
    }
}

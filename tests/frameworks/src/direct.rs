//! Tests for the tower layer whose service is called directly, for responses that the servers of other tests do not
//! produce.

use std::convert::Infallible;

use ::hyper::header::CONTENT_TYPE;
use ::hyper::{HeaderMap, Request, Response, StatusCode};
use axum::body::Body;
use http_body_util::{BodyExt, Empty, Full};
use metrics_core::{Gauge, ProblemKind, Registry, RequestMetrics};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::behavior::Measured;

/// A gRPC response whose body has a known length, and whose trailers report an internal error.
fn failed_call(message: &'static str) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "13".parse().expect("valid"));
    let trailers = async { Some(Ok(trailers)) };
    let body = match message {
        "" => Body::new(Empty::<bytes::Bytes>::new().with_trailers(trailers)),
        message => Body::new(Full::new(bytes::Bytes::from(message)).with_trailers(trailers)),
    };
    Response::builder().header(CONTENT_TYPE, "application/grpc").body(body).expect("valid")
}

/// A service in one or more layers.
trait Measures: Service<Request<Body>, Response = Response<Self::Body>, Error = Infallible, Future: Send> {
    type Body: ::hyper::body::Body<Data = bytes::Bytes, Error: std::fmt::Debug> + Unpin;
}

impl<S, B> Measures for S
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible, Future: Send>,
    B: ::hyper::body::Body<Data = bytes::Bytes, Error: std::fmt::Debug> + Unpin,
{
    type Body = B;
}

async fn call<S: Measures>(service: S, method: &str) -> S::Body {
    let request = Request::builder().method(method).uri("/a").body(Body::empty()).expect("valid");
    service.oneshot(request).await.expect("infallible").into_body()
}

fn one(
    with: impl Fn(metrics_core::RequestMetricsBuilder) -> metrics_core::RequestMetricsBuilder,
) -> (Measured, RequestMetrics) {
    let measured = Measured::new();
    let layer = measured.build(|builder| with(builder.known_routes([("GET", "/a")])));
    (measured, layer)
}

#[tokio::test]
async fn a_layer_nested_in_itself_through_another_one_counts_once() {
    let (measured, outer) = one(|builder| builder);
    let (within, middle) = one(|builder| builder);
    let answer = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::from("hello"))));
    let service = outer.layer(middle.layer(outer.layer(answer)));
    call(service, "GET").await.collect().await.expect("complete");
    measured.recorded("/a", "GET", "200", 1.0, [0.0, 0.0]);
    within.recorded("/a", "GET", "200", 1.0, [0.0, 0.0]);
    let [problem] = &measured.problems()[..] else { panic!("{:?}", measured.problems()) };
    assert_eq!(problem.kind, ProblemKind::RepeatedLayer);
}

#[tokio::test]
async fn trailers_after_a_body_of_known_length_report_failures() {
    let (measured, layer) = one(|builder| builder);
    for (message, calls) in [("hello", 1.0), ("", 2.0)] {
        let service = layer.layer(service_fn(async |_: Request<Body>| Ok::<_, Infallible>(failed_call(message))));
        call(service, "GET").await.collect().await.expect("complete");
        measured.recorded("/a", "GET", "200", calls, [calls, 0.0]);
    }
    // A server that cannot send trailers drops the body after its last byte.
    let service = layer.layer(service_fn(async |_: Request<Body>| Ok::<_, Infallible>(failed_call("hello"))));
    let mut body = call(service, "GET").await;
    body.frame().await.expect("data").expect("complete");
    drop(body);
    measured.recorded("/a", "GET", "200", 3.0, [2.0, 0.0]);
}

#[tokio::test]
async fn a_rule_that_panics_counts_an_exception() {
    let (measured, layer) = one(|builder| builder.exception_if(|status| [false; 100][usize::from(status)]));
    let service = layer.layer(service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty()))));
    call(service, "GET").await.collect().await.expect("complete");
    measured.recorded("/a", "GET", "200", 1.0, [1.0, 0.0]);
    let text = Registry::global().to_text();
    assert!(!text.contains("metrics_core_internal_errors_total{kind=\"exception_rule_panic\"} 0\n"), "{text}");
}

#[tokio::test]
async fn the_body_of_a_response_to_connect_is_not_read() {
    let (measured, layer) = one(|builder| builder.known_routes([("CONNECT", "/a")]));
    for (status, cancelled) in [(StatusCode::OK, 0.0), (StatusCode::BAD_GATEWAY, 1.0)] {
        let service = layer.layer(service_fn(async |_: Request<Body>| {
            Ok::<_, Infallible>(Response::builder().status(status).body(Body::from("hello")).expect("valid"))
        }));
        drop(call(service, "CONNECT").await);
        measured.recorded("/a", "CONNECT", status.as_str(), 1.0, [0.0, cancelled]);
    }
}

#[test]
fn a_builder_that_fails_registers_nothing() {
    let registry = Registry::new();
    let taken = |name: &str| Gauge::builder(name, "").register_in(&registry).expect("free");
    for last in ["shop_responses_total", "shop_request_latency_seconds"] {
        taken(last);
        assert!(RequestMetrics::builder("shop").build_in(&registry).is_err());
        assert_eq!(registry.to_text(), format!("# TYPE {last} gauge\n{last} 0\n"));
        assert!(registry.unregister(last));
    }
    // Families that were there before remain.
    let first = RequestMetrics::builder("shop").build_in(&registry).expect("free");
    assert!(registry.unregister("shop_responses_total"));
    taken("shop_responses_total");
    let before = registry.to_text();
    assert!(RequestMetrics::builder("shop").build_in(&registry).is_err());
    assert_eq!(registry.to_text(), before);
    drop(first);
}

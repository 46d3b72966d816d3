//! Requests to an axum service in the same process, behind the layer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::get;
use http_body_util::BodyExt;
use metrics_core::RequestMetrics;
use tower::ServiceExt;

use crate::functions::PLANNED;
use crate::model::Tally;
use crate::random::Random;

/// Returns the service.
pub(crate) fn service() -> Router {
    let panics = || async {
        if std::hint::black_box(true) {
            panic!("{PLANNED}");
        }
    };
    Router::new()
        .route("/users/{id}", get(|| async { "a user" }))
        .route("/fail", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "a failure") }))
        .route("/pending", get(std::future::pending::<()>))
        .route("/panic", get(panics))
        .layer(RequestMetrics::builder("soak_web").quantiles([0.5]).build())
}

/// Makes one request, and counts it in the model.
pub(crate) fn request(service: &Router, random: &mut Random, tally: &mut Tally) {
    let number = random.below(100);
    let path = match random.below(6) {
        0 | 1 => format!("/users/{number}"),
        2 => "/fail".to_owned(),
        3 => "/pending".to_owned(),
        4 => "/panic".to_owned(),
        _ => format!("/nowhere/{number}"),
    };
    let reads_body = !random.once_in(3);
    let request = Request::get(path.as_str()).body(Body::empty()).expect("valid");
    let mut context = Context::from_waker(Waker::noop());
    let mut response = pin!(service.clone().oneshot(request));
    let (label, status, end) = match catch_unwind(AssertUnwindSafe(|| response.as_mut().poll(&mut context))) {
        Err(_) => ("/panic", "panic", Some("soak_web_request_exceptions_total")),
        Ok(Poll::Pending) => ("/pending", "cancelled", Some("soak_web_request_cancelled_total")),
        Ok(Poll::Ready(response)) => {
            let response = response.expect("infallible");
            let status = response.status();
            let has_body = status != StatusCode::NOT_FOUND;
            let mut read = pin!(response.into_body().collect());
            if reads_body {
                assert!(read.as_mut().poll(&mut context).is_ready(), "bodies are complete");
            }
            let cancelled = (!reads_body && has_body).then_some("soak_web_request_cancelled_total");
            match status {
                StatusCode::OK => ("/users/{id}", "200", cancelled),
                StatusCode::NOT_FOUND => ("other", "404", None),
                _ => ("/fail", "500", cancelled.or(Some("soak_web_request_exceptions_total"))),
            }
        }
    };
    let labels = [("path", label.into()), ("method", "GET".into())];
    tally.count("soak_web_request_latency_seconds_count", labels);
    tally.count("soak_web_responses_total", [labels[0], labels[1], ("status", status.into())]);
    if let Some(end) = end {
        tally.count(end, labels);
    }
}

//! Tests for the tower layer with plain hyper, which has no router.

use std::convert::Infallible;
use std::future::pending;
use std::io;

use ::hyper::body::Incoming;
use ::hyper::header::{CONNECTION, CONTENT_LENGTH, UPGRADE};
use ::hyper::server::conn::http1;
use ::hyper::{Request, Response, StatusCode};
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use metrics_core::{Exposition, RequestMetrics};
use tokio::net::TcpListener;
use tower::{BoxError, Layer, service_fn};

use crate::axum::first_then;
use crate::behavior::{Measured, check};
use crate::client::ask;

async fn route(request: Request<Incoming>, exposition: Exposition) -> Result<Response<Body>, BoxError> {
    let mut response = Response::new(Body::empty());
    match request.uri().path() {
        "/metrics" => return Ok(exposition.respond(&request).await.map(Body::new)),
        path if path.starts_with("/users/") && path.matches('/').count() == 2 => {
            *response.body_mut() = Body::from("a user");
        }
        "/fail" => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        "/panic" => panic!("in a handler"),
        "/panic-in-body" => *response.body_mut() = first_then(|| panic!("in a body")),
        "/broken-body" => *response.body_mut() = first_then(|| Err(io::Error::other("a broken body"))),
        "/endless" => {
            *response.body_mut() = Body::from_stream(stream::repeat(Ok::<_, Infallible>(Bytes::from("0123456789"))));
        }
        "/pending" => pending().await,
        "/length" => {
            let bytes = stream::iter(["twelve", " bytes"].map(Ok::<_, Infallible>)).chain(stream::pending());
            response.headers_mut().insert(CONTENT_LENGTH, "12".parse()?);
            *response.body_mut() = Body::from_stream(bytes);
        }
        "/empty" => *response.status_mut() = StatusCode::NO_CONTENT,
        "/upgrade" => {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response.headers_mut().insert(CONNECTION, "upgrade".parse()?);
            response.headers_mut().insert(UPGRADE, "chat".parse()?);
        }
        "/error" => return Err("the service itself fails".into()),
        _ => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    Ok(response)
}

async fn serve(metrics: RequestMetrics, exposition: Exposition) -> std::net::SocketAddr {
    let service = metrics.layer(service_fn(move |request: Request<Incoming>| route(request, exposition.clone())));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    addr
}

/// The paths of the known routes. They must be declared because hyper has no router.
const PATHS: [&str; 9] =
    ["/fail", "/panic", "/panic-in-body", "/broken-body", "/endless", "/pending", "/length", "/empty", "/upgrade"];

#[tokio::test(flavor = "multi_thread")]
async fn every_end_of_a_request_is_recorded() {
    let measured = Measured::new();
    let metrics = measured.build(|builder| builder.known_routes(PATHS.map(|path| ("GET", path))));
    let addr = serve(metrics, measured.exposition()).await;
    for path in PATHS {
        let series = format!("web_responses_total{{path=\"{path}\",method=\"GET\",status=\"200\"}}");
        assert_eq!(measured.value(&series), Some(0.0), "{path}");
    }
    tokio::task::spawn_blocking(move || {
        check(addr, &measured, "other");
        assert_eq!(ask(addr, "PUT", "/error"), "");
        measured.recorded("other", "PUT", "error", 1.0, [1.0, 0.0]);
    })
    .await
    .expect("no panic");
}

//! Tests for the axum adapter.

use std::convert::Infallible;
use std::future::pending;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::Duration;

use ::axum::Router;
use ::axum::body::Body;
use ::axum::extract::Request;
use ::axum::http::StatusCode;
use ::axum::http::header::{CONNECTION, CONTENT_LENGTH, UPGRADE};
use ::axum::response::{IntoResponse, Response};
use ::axum::routing::{any, get};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use metrics_core::{Exposition, ProblemKind};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::timeout::TimeoutLayer;

use crate::behavior::{Measured, check};
use crate::client::{ask, send, status};

pub(crate) fn first_then(second: fn() -> Result<Bytes, io::Error>) -> Body {
    let first = Ok(Bytes::from_static(b"first"));
    // Yield once so that the first chunk is sent before the second chunk is ready.
    let second = stream::once(async move {
        tokio::task::yield_now().await;
        second()
    });
    Body::from_stream(stream::iter([first]).chain(second))
}

/// A custom metrics handler whose future may move between threads.
async fn handled(request: Request) -> Response {
    Exposition::new().respond(&request).await.map(Body::new)
}

async fn panicking() -> &'static str {
    if std::hint::black_box(true) { panic!("in a handler") } else { "" }
}

fn app(measured: &Measured) -> Router {
    Router::new()
        .route("/users/{id}", get(|| async { "a user" }))
        .route("/fail", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/panic", get(panicking))
        .route("/panic-in-body", get(|| async { first_then(|| panic!("in a body")) }))
        .route("/broken-body", get(|| async { first_then(|| Err(io::Error::other("a broken body"))) }))
        .route("/endless", get(|| async { Body::from_stream(stream::repeat(Ok::<_, Infallible>("0123456789"))) }))
        .route("/pending", get(pending::<()>))
        .route(
            "/length",
            get(|| async {
                let body = Body::from_stream(
                    stream::iter(["twelve", " bytes"].map(Ok::<_, Infallible>)).chain(stream::pending()),
                );
                ([(CONTENT_LENGTH, "12")], body)
            }),
        )
        .route("/empty", get(|| async { StatusCode::NO_CONTENT }))
        .route(
            "/upgrade",
            get(|| async {
                (StatusCode::SWITCHING_PROTOCOLS, [(CONNECTION, "upgrade"), (UPGRADE, "chat")]).into_response()
            }),
        )
        .route_service("/metrics", measured.exposition())
        .route("/handled/metrics", get(handled))
}

pub(crate) async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("bound");
    tokio::spawn(async move { ::axum::serve(listener, app).await });
    addr
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_of_a_request_is_recorded() {
    let measured = Measured::new();
    let addr = serve(app(&measured).layer(measured.build(|builder| builder))).await;
    tokio::task::spawn_blocking(move || {
        check(addr, &measured, "/users/{id}");
        assert!(ask(addr, "GET", "/handled/metrics").contains("\nmetrics_core_problems "));
        let series = "web_request_latency_seconds_count{path=\"/handled/metrics\",method=\"GET\"}";
        assert_eq!(measured.value(series), Some(0.0));
    })
    .await
    .expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_routes_methods_and_options() {
    let measured = Measured::new();
    let nested = Router::new().route("/orders/{id}", get(|| async { StatusCode::IM_A_TEAPOT }));
    let metrics = measured.build(|builder| {
        let builder =
            builder.buckets([0.1, 1.0, 60.0]).known_routes([("GET", "/shop/orders/{id}"), ("POST", "/unused")]);
        builder.exclude("/healthz").exception_if(|status| status == 418)
    });
    let app = Router::new().nest("/shop", nested).route("/healthz", get(|| async {})).layer(metrics);
    let addr = serve(app).await;
    let known = "web_responses_total{path=\"/shop/orders/{id}\",method=\"GET\",status=\"200\"}";
    assert_eq!(measured.value(known), Some(0.0));
    assert_eq!(measured.of_route("request_latency_seconds_count", "/unused", "POST"), Some(0.0));
    assert_eq!(measured.value("web_request_exceptions_total{path=\"/unused\",method=\"POST\"}"), Some(0.0));
    tokio::task::spawn_blocking(move || {
        assert_eq!(status(&ask(addr, "GET", "/shop/orders/7")), 418);
        assert_eq!(status(&ask(addr, "DELETE", "/shop/orders/7")), 405);
        assert_eq!(status(&ask(addr, "GET", "/healthz")), 200);
        measured.recorded("/shop/orders/{id}", "GET", "418", 1.0, [1.0, 0.0]);
        measured.recorded("/shop/orders/{id}", "DELETE", "405", 1.0, [0.0, 0.0]);
        let bucket = "web_request_latency_seconds_bucket{path=\"/shop/orders/{id}\",method=\"GET\",le=\"60\"}";
        assert_eq!(measured.value(bucket), Some(1.0));
        assert_eq!(measured.value("web_requests_in_flight{path=\"/healthz\",method=\"GET\"}"), None);
        assert_eq!(measured.value("web_requests_in_flight{path=\"other\",method=\"GET\"}"), None);
    })
    .await
    .expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_time_out_are_exceptions() {
    let measured = Measured::new();
    let forever = get(pending::<()>);
    let timeout = |status| TimeoutLayer::with_status_code(status, Duration::from_millis(1));
    let app = Router::new()
        .route("/slow", forever.clone().layer(timeout(StatusCode::REQUEST_TIMEOUT)))
        .route("/upstream", forever.layer(timeout(StatusCode::GATEWAY_TIMEOUT)))
        .layer(measured.build(|builder| builder));
    let addr = serve(app).await;
    tokio::task::spawn_blocking(move || {
        for (path, expected) in [("/slow", 408), ("/upstream", 504)] {
            assert_eq!(status(&ask(addr, "GET", path)), expected);
            measured.recorded(path, "GET", &expected.to_string(), 1.0, [1.0, 0.0]);
        }
    })
    .await
    .expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nested_router_excludes_by_the_path_that_the_client_sent() {
    let measured = Measured::new();
    let metrics = measured.build(|builder| builder.exclude("/api/health"));
    let inner = Router::new().route("/health", get(|| async {})).route("/metrics", get(|| async {})).layer(metrics);
    let addr = serve(Router::new().nest("/api", inner)).await;
    tokio::task::spawn_blocking(move || {
        assert_eq!(status(&ask(addr, "GET", "/api/health")), 200);
        assert_eq!(status(&ask(addr, "GET", "/api/metrics")), 200);
        measured.recorded("/api/metrics", "GET", "200", 1.0, [0.0, 0.0]);
        assert_eq!(measured.value("web_requests_in_flight{path=\"/api/health\",method=\"GET\"}"), None);
    })
    .await
    .expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_services_have_the_pattern_of_their_nesting() {
    let measured = Measured::new();
    let files = || service_fn(|_: Request| async { Ok::<_, Infallible>("a file".into_response()) });
    let admin = Router::new().route("/users/{id}", get(|| async { "a user" }));
    let api = Router::new().route("/orders", get(|| async { "orders" })).nest_service("/files/{kind}", files());
    let app = Router::new().nest_service("/static", files()).nest_service("/admin", admin).nest("/api", api);
    let addr = serve(app.layer(measured.build(|builder| builder))).await;
    tokio::task::spawn_blocking(move || {
        for (path, label) in [
            ("/static", "/static"),
            ("/static/", "/static/"),
            ("/static/css/main.css", "/static/{*rest}"),
            ("/api/orders", "/api/orders"),
            ("/api/files/png/1", "/api/files/{kind}/{*rest}"),
            ("/admin/users/7", "/admin/{*rest}"),
        ] {
            assert_eq!(status(&ask(addr, "GET", path)), 200, "{path}");
            measured.recorded(label, "GET", "200", 1.0, [0.0, 0.0]);
        }
        for path in ["/", "/statics", "/api/nothing", "/{*rest}"] {
            assert_eq!(status(&ask(addr, "GET", path)), 404, "{path}");
        }
        measured.recorded("other", "GET", "404", 4.0, [0.0, 0.0]);
        // The nested service also responds to unknown routes.
        assert_eq!(status(&ask(addr, "GET", "/admin/nothing")), 404);
        measured.recorded("/admin/{*rest}", "GET", "404", 1.0, [0.0, 0.0]);
    })
    .await
    .expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_inside_a_nested_router_has_the_whole_pattern() {
    let measured = Measured::new();
    let admin = Router::new().route("/users/{id}", get(|| async { "a user" })).layer(measured.build(|builder| builder));
    let addr = serve(Router::new().nest_service("/admin", admin)).await;
    tokio::task::spawn_blocking(move || {
        assert_eq!(status(&ask(addr, "GET", "/admin/users/7")), 200);
        measured.recorded("/admin/users/{id}", "GET", "200", 1.0, [0.0, 0.0]);
        assert_eq!(status(&ask(addr, "GET", "/admin/nothing")), 404);
        measured.recorded("/admin/{*rest}", "GET", "404", 1.0, [0.0, 0.0]);
    })
    .await
    .expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_on_an_outer_and_a_nested_router_counts_once() {
    let measured = Measured::new();
    // Both layers record into the same families.
    let [outer, inner] = [measured.build(|builder| builder), measured.build(|builder| builder)];
    let nested = Router::new()
        .route("/users/{id}", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/endless", get(|| async { Body::from_stream(stream::repeat(Ok::<_, Infallible>("0123456789"))) }))
        .layer(inner);
    let app = Router::new().route("/a", get(|| async {})).nest("/api", nested).layer(outer);
    let addr = serve(app).await;
    tokio::task::spawn_blocking(move || {
        assert_eq!(status(&ask(addr, "GET", "/a")), 200);
        measured.recorded("/a", "GET", "200", 1.0, [0.0, 0.0]);
        assert_eq!(measured.problems(), []);
        for requests in [1.0, 2.0] {
            assert_eq!(status(&ask(addr, "GET", "/api/users/7")), 500);
            measured.recorded("/api/users/{id}", "GET", "500", requests, [requests, 0.0]);
        }
        let mut endless = send(addr, "GET", "/api/endless", "");
        endless.read_exact(&mut [0; 1_000]).expect("the beginning of a body");
        assert_eq!(measured.of_route("requests_in_flight", "/api/endless", "GET"), Some(1.0));
        drop(endless);
        measured.recorded("/api/endless", "GET", "200", 1.0, [0.0, 1.0]);
        let [problem] = &measured.problems()[..] else { panic!("{:?}", measured.problems()) };
        assert_eq!(problem.kind, ProblemKind::RepeatedLayer);
        assert_eq!(
            problem.message,
            "web_request_latency_seconds: a request passes two layers that record into this family; the inner one does \
             not count it. Apply `RequestMetrics` once, to the outer router or scope"
        );
        assert!(problem.location.is_some_and(|location| location.file().ends_with("behavior.rs")), "{problem}");
    })
    .await
    .expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_before_its_routes_does_not_see_their_requests_and_is_reported() {
    let measured = Measured::new();
    let app = Router::new().layer(measured.build(|builder| builder)).route("/a", get(|| async {}));
    let addr = serve(app).await;
    tokio::task::spawn_blocking(move || {
        assert_eq!(status(&ask(addr, "GET", "/a")), 200);
        assert_eq!(measured.problems(), []);
        for requests in 1..=20 {
            assert_eq!(status(&ask(addr, "GET", "/nowhere")), 404);
            measured.recorded("other", "GET", "404", f64::from(requests), [0.0, 0.0]);
        }
        assert_eq!(measured.of_route("request_latency_seconds_count", "/a", "GET"), None);
        let [problem] = &measured.problems()[..] else { panic!("{:?}", measured.problems()) };
        assert_eq!(problem.kind, ProblemKind::LayerBeforeRoutes);
        assert_eq!(
            problem.message,
            "web_request_latency_seconds: `RequestMetrics` is applied to an axum router that has no routes, so it does not \
             see requests to routes that are added later. Call `.layer(..)` after the last `.route(..)`"
        );
    })
    .await
    .expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_in_the_right_place_is_not_reported() {
    let handler = || get(|| async {});
    let with_routes: [fn(Router) -> Router; 6] = [
        |router| router.route("/a", get(|| async {})),
        |router| router.route("/a", any(|| async {})),
        |router| router.route_service("/a", service_fn(|_: Request| async { Ok::<_, Infallible>(().into_response()) })),
        |router| router.nest("/b", Router::new().route("/a", get(|| async {}))),
        |router| router.merge(Router::new().route("/a", get(|| async {}))).fallback(|| async { StatusCode::NOT_FOUND }),
        |router| router.fallback(|| async { "of a fallback" }),
    ];
    for routes in with_routes {
        let measured = Measured::new();
        let addr = serve(routes(Router::new()).layer(measured.build(|builder| builder))).await;
        let measured = missed(addr, measured).await;
        assert_eq!(measured.problems(), []);
    }
    // A file service has no routes, but requests for missing files do not indicate a misplaced layer.
    let measured = Measured::new();
    let files = service_fn(|request: Request| async move {
        let status = if request.uri().path() == "/" { StatusCode::OK } else { StatusCode::NOT_FOUND };
        Ok::<_, Infallible>(status.into_response())
    });
    let addr = serve(Router::new().fallback_service(files).layer(measured.build(|builder| builder))).await;
    tokio::task::spawn_blocking(move || assert_eq!(status(&ask(addr, "GET", "/")), 200)).await.expect("no panic");
    assert_eq!(missed(addr, measured).await.problems(), []);
    // Use three routes because a router without routes also passes three services to a layer.
    let measured = Measured::new();
    let routes = ["/a", "/b", "/c"].into_iter().fold(Router::new(), |app, path| app.route(path, handler()));
    let addr = serve(routes.route_layer(measured.build(|builder| builder))).await;
    assert_eq!(missed(addr, measured).await.problems(), []);
}

#[test]
fn known_routes_are_methods_and_paths() {
    for wrong in [("/users", "GET"), ("get", "/users"), ("GET", "users")] {
        let measured = Measured::new();
        measured.build(|builder| builder.known_routes([("GET", "/a"), wrong]));
        let [problem] = &measured.problems()[..] else { panic!("{:?}", measured.problems()) };
        assert!(problem.message.contains(&format!("{wrong:?} is not a route")), "{problem}");
    }
}

#[tokio::test]
async fn around_a_whole_router_only_known_routes_have_a_path() {
    let measured = Measured::new();
    let app = Router::new().route("/a", get(|| async {})).route("/b", get(|| async {}));
    let metrics = measured.build(|builder| builder.known_routes([("GET", "/a")]));
    for path in ["/a", "/b"] {
        let request = Request::get(path).body(Body::empty()).expect("valid");
        let response = metrics.layer(app.clone()).oneshot(request).await.expect("a response");
        assert_eq!(response.status(), StatusCode::OK);
    }
    measured.recorded("/a", "GET", "200", 1.0, [0.0, 0.0]);
    measured.recorded("other", "GET", "200", 1.0, [0.0, 0.0]);
    assert_eq!(measured.problems(), []);
}

/// Sends more unmatched requests than are needed to report a misplaced layer.
async fn missed(addr: SocketAddr, measured: Measured) -> Measured {
    tokio::task::spawn_blocking(move || {
        for _ in 0..20 {
            assert!(matches!(status(&ask(addr, "GET", "/nowhere")), 200 | 404));
        }
        measured
    })
    .await
    .expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_with_different_families_count_the_same_request() {
    let (outer, inner) = (Measured::new(), Measured::new());
    let app = Router::new().route("/a", get(|| async {})).layer(inner.build(|builder| builder));
    let addr = serve(app.layer(outer.build(|builder| builder))).await;
    tokio::task::spawn_blocking(move || {
        assert_eq!(status(&ask(addr, "GET", "/a")), 200);
        for measured in [outer, inner] {
            measured.recorded("/a", "GET", "200", 1.0, [0.0, 0.0]);
            assert_eq!(measured.problems(), []);
        }
    })
    .await
    .expect("no panic");
}

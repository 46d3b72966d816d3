//! Layers whose families have reached their limit on routes or statuses.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::any;
use futures_util::future::join_all;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::behavior::Measured;
use crate::wait_for;

const OVERFLOW: &str = "__overflow__";

/// Responds with the status code in the query.
async fn status(request: Request) -> StatusCode {
    request.uri().query().and_then(|status| StatusCode::from_bytes(status.as_bytes()).ok()).expect("a status")
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    addr
}

/// Sends requests over one connection. Each item is a method, a path and the expected status.
async fn send(addr: SocketAddr, requests: &[(&str, String, u16)]) {
    let stream = TokioIo::new(TcpStream::connect(addr).await.expect("the server listens"));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.expect("a connection");
    tokio::spawn(connection);
    for (method, path, expected) in requests {
        let request = hyper::Request::builder().method(*method).uri(format!("{path}?{expected}")).header("host", "x");
        sender.ready().await.expect("open");
        let response = sender.send_request(request.body(Empty::<&[u8]>::new()).expect("valid")).await.expect("sent");
        assert_eq!(response.status().as_u16(), *expected, "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_do_not_reduce_the_number_of_routes() {
    let measured = Measured::new();
    let app = Router::new().route("/a", any(status)).layer(measured.build(|builder| builder.max_series(1)));
    let statuses = [200, 201, 202, 203].into_iter().chain([500; 20]);
    let requests: Vec<_> = statuses.map(|status| ("GET", "/a".to_owned(), status)).collect();
    send(serve(app).await, &requests).await;
    measured.recorded("/a", "GET", "500", 20.0, [20.0, 0.0]);
    assert_eq!(measured.of_route("request_latency_seconds_count", "/a", "GET"), Some(24.0));
    assert_eq!(measured.of_route("request_latency_seconds_count", OVERFLOW, OVERFLOW), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_beyond_the_cap_is_overflow_in_all_families() {
    let measured = Measured::new();
    let app = Router::new().route("/a", any(status)).route("/b", any(status));
    let app = app.layer(measured.build(|builder| builder.max_series(1)));
    let requests =
        [("/a", 200), ("/b", 200), ("/b", 500), ("/a", 500)].map(|(path, code)| ("GET", path.to_owned(), code));
    send(serve(app).await, &requests).await;
    measured.recorded("/a", "GET", "500", 1.0, [1.0, 0.0]);
    measured.recorded(OVERFLOW, OVERFLOW, OVERFLOW, 2.0, [1.0, 0.0]);
    assert_eq!(measured.of_route("request_latency_seconds_count", "/a", "GET"), Some(2.0));
    assert_eq!(measured.of_route("requests_in_flight", "/b", "GET"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn known_routes_do_not_count_towards_the_cap() {
    let measured = Measured::new();
    let known = [("GET", "/a"), ("GET", "/b"), ("GET", "/c")];
    let metrics = measured.build(|builder| builder.max_series(1).known_routes(known));
    let app = ["/a", "/b", "/c", "/d", "/e"].into_iter().fold(Router::new(), |app, path| app.route(path, any(status)));
    let addr = serve(app.layer(metrics)).await;
    let requests: Vec<_> = ["/a", "/b", "/c", "/d", "/e"].map(|path| ("GET", path.to_owned(), 500)).into();
    send(addr, &requests).await;
    for path in ["/a", "/b", "/c", "/d"] {
        measured.recorded(path, "GET", "500", 1.0, [1.0, 0.0]);
    }
    measured.recorded(OVERFLOW, OVERFLOW, OVERFLOW, 1.0, [1.0, 0.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_beyond_the_cap_are_overflow_in_responses_only() {
    let measured = Measured::new();
    let app = Router::new().route("/a", any(status)).layer(measured.build(|builder| builder.max_series(1)));
    let requests: Vec<_> = (500..515).map(|status| ("GET", "/a".to_owned(), status)).collect();
    send(serve(app).await, &requests).await;
    wait_for("the last request", || {
        (measured.of_route("request_exceptions_total", "/a", "GET") == Some(15.0)).then_some(())
    });
    assert_eq!(measured.of_route("request_latency_seconds_count", "/a", "GET"), Some(15.0));
    assert_eq!(measured.responses("/a", "GET", "509"), 1.0);
    assert_eq!(measured.responses(OVERFLOW, OVERFLOW, OVERFLOW), 5.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_cap_has_room_for_a_large_service() {
    const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
    const STATUSES: [u16; 5] = [200, 201, 404, 422, 500];
    let measured = Measured::new();
    let paths: Vec<String> = (0..100).map(|route| format!("/{route}")).collect();
    let app = paths.iter().fold(Router::new(), |app, path| app.route(path, any(status)));
    let addr = serve(app.layer(measured.build(|builder| builder))).await;
    let all = |method| -> Vec<_> {
        let requests = paths.iter().flat_map(|path| STATUSES.map(|status| (method, path.clone(), status)));
        // Include a request that matches no route.
        requests.chain([(method, "/nowhere".to_owned(), 404)]).collect()
    };
    join_all(METHODS.map(|method| async move { send(addr, &all(method)).await })).await;
    wait_for("the last request", || {
        let of = |method| measured.of_route("request_exceptions_total", "/99", method) == Some(1.0);
        METHODS.into_iter().all(of).then_some(())
    });
    let text = measured.text();
    let series: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.rsplit_once(' ')).collect();
    let value = |family: &str, labels: &str| series.get(format!("web_{family}{{{labels}}}").as_str()).copied();
    for (method, path) in METHODS.into_iter().flat_map(|method| paths.iter().map(move |path| (method, path))) {
        let route = format!("path=\"{path}\",method=\"{method}\"");
        assert_eq!(value("request_latency_seconds_count", &route), Some("5"), "{route}");
        assert_eq!(value("request_exceptions_total", &route), Some("1"), "{route}");
        for status in STATUSES {
            assert_eq!(
                value("responses_total", &format!("{route},status=\"{status}\"")),
                Some("1"),
                "{route} {status}"
            );
        }
    }
    assert!(!text.contains(OVERFLOW), "{text}");
}

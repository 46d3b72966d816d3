//! Services built with axum, actix-web and tonic that are measured by a layer and receive requests with known outcomes.

use std::any::Any;
use std::future::pending;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::any;
use metrics_core::RequestMetrics;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::{Measured, Traffic};
use crate::wait_for;

const ROUTES: [(&str, &str); 3] = [("GET", "/a"), ("POST", "/a"), ("GET", "/b")];

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
/// A path without a service, for which tonic responds with the gRPC status "unimplemented".
const UNKNOWN: &str = "/unknown/grpc.health.v1.Health/Check";

/// Returns the status that a query requests, or `None` for a request that stays pending.
fn asked(query: Option<&str>) -> Option<u16> {
    query.and_then(|status| status.parse().ok())
}

async fn axum_handler(request: Request) -> StatusCode {
    match asked(request.uri().query()) {
        Some(status) => StatusCode::from_u16(status).expect("a status"),
        None => pending().await,
    }
}

async fn actix_handler(request: HttpRequest) -> HttpResponse {
    match asked(Some(request.query_string())) {
        Some(status) => HttpResponse::new(status.try_into().expect("a status")),
        None => pending().await,
    }
}

async fn axum_service() -> SocketAddr {
    let metrics = RequestMetrics::builder("promql_axum").known_routes(ROUTES).build();
    let app = Router::new().route("/a", any(axum_handler)).route("/b", any(axum_handler)).layer(metrics);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    addr
}

async fn tonic_service() -> SocketAddr {
    let routes = [CHECK, WATCH, UNKNOWN].map(|path| ("POST", path));
    let metrics = RequestMetrics::builder("promql_tonic").known_routes(routes).build();
    let (reporter, health) = tonic_health::server::health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        let _reporter = reporter;
        Server::builder().layer(metrics).add_service(health).serve_with_incoming(TcpIncoming::from(listener)).await
    });
    addr
}

/// Serves on a thread that runs until the process ends.
fn actix_service() -> SocketAddr {
    let metrics = RequestMetrics::builder("promql_actix").known_routes(ROUTES).build();
    let (started, addr) = mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let server = HttpServer::new(move || {
                let app = App::new().route("/a", web::to(actix_handler)).route("/b", web::to(actix_handler));
                app.wrap(metrics.clone())
            });
            // With half-closed connections, a handler would keep running after its client has disconnected.
            let server = server.h1_allow_half_closed(false).workers(1).disable_signals();
            let server = server.bind("127.0.0.1:0").expect("a free port");
            started.send(server.addrs()[0]).expect("the test waits");
            server.run().await.expect("it runs");
        });
    });
    addr.recv().expect("started")
}

fn send(addr: SocketAddr, method: &str, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).expect("the service listens");
    let request = format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    stream
}

/// Returns the value of a series in an exposition.
fn value(text: &str, series: &str) -> f64 {
    let rest = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    rest.and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// Waits until `expected` requests to a route are in flight.
fn in_flight(text: &dyn Fn() -> String, prefix: &str, method: &str, path: &str, expected: f64) {
    let series = format!("{prefix}_requests_in_flight{{path=\"{path}\",method=\"{method}\"}}");
    wait_for(&format!("{expected} of {series}"), || (value(&text(), &series) == expected).then_some(()));
}

/// Sends requests to both routes. Returns a connection whose request is in flight until the connection is dropped.
fn drive_http(addr: SocketAddr, prefix: &str, text: &dyn Fn() -> String) -> TcpStream {
    let statuses = [("GET", "/a", [200, 200, 200, 200, 200, 500, 500, 503].as_slice())];
    for (method, path, statuses) in
        statuses.into_iter().chain([("POST", "/a", [200, 500].as_slice()), ("GET", "/b", &[200; 4])])
    {
        for status in statuses {
            let mut response = String::new();
            send(addr, method, &format!("{path}?{status}")).read_to_string(&mut response).expect("a response");
            assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        }
    }
    for _ in 0..2 {
        let pending = send(addr, "GET", "/a");
        in_flight(text, prefix, "GET", "/a", 1.0);
        drop(pending);
        in_flight(text, prefix, "GET", "/a", 0.0);
    }
    let pending = send(addr, "GET", "/a");
    in_flight(text, prefix, "GET", "/a", 1.0);
    pending
}

/// Returns the requests that [`drive_http`] sends.
fn http_traffic(prefix: &'static str) -> Measured {
    let route = |method, path, failed, cancelled, in_flight, by_status| Traffic {
        path,
        method,
        failed,
        cancelled,
        in_flight,
        by_status,
        by_kind: vec![],
    };
    let get = vec![("200", 5), ("500", 2), ("503", 1), ("cancelled", 2)];
    let traffic = vec![
        route("GET", "/a", 3, 2, 1, get),
        route("POST", "/a", 1, 0, 0, vec![("200", 1), ("500", 1)]),
        route("GET", "/b", 0, 0, 0, vec![("200", 4)]),
    ];
    Measured { prefix, sections: &["Layers"], has_path: true, traffic }
}

/// Calls the methods of the service. Returns a call that is in flight until it is dropped.
async fn drive_tonic(addr: SocketAddr, text: &dyn Fn() -> String) -> impl Any + use<> {
    let channel =
        Channel::from_shared(format!("http://{addr}")).expect("an address").connect().await.expect("a server");
    let mut client = HealthClient::new(channel.clone());
    let request = HealthCheckRequest::default;
    for _ in 0..4 {
        client.check(request()).await.expect("healthy");
    }
    let unknown = "http://localhost/unknown".parse().expect("valid");
    let mut unknown = HealthClient::with_origin(channel, unknown);
    for _ in 0..3 {
        unknown.check(request()).await.expect_err("no such service");
    }
    for _ in 0..2 {
        let mut watched = client.watch(request()).await.expect("a stream").into_inner();
        watched.message().await.expect("a message");
        drop(watched);
        in_flight(text, "promql_tonic", "POST", WATCH, 0.0);
    }
    let mut watched = client.watch(request()).await.expect("a stream").into_inner();
    watched.message().await.expect("a message");
    watched
}

/// Returns the calls that [`drive_tonic`] makes.
fn tonic_traffic() -> Measured {
    let method = |path, requests, failed, cancelled, in_flight| Traffic {
        path,
        method: "POST",
        failed,
        cancelled,
        in_flight,
        by_status: vec![("200", requests)],
        by_kind: vec![],
    };
    let traffic = vec![method(CHECK, 4, 0, 0, 0), method(UNKNOWN, 3, 3, 0, 0), method(WATCH, 2, 0, 2, 1)];
    Measured { prefix: "promql_tonic", sections: &["Layers"], has_path: true, traffic }
}

/// The services, each with its layer.
pub(super) struct Services {
    runtime: Runtime,
    axum: SocketAddr,
    actix: SocketAddr,
    tonic: SocketAddr,
}

impl Services {
    pub(super) fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let (axum, tonic) = runtime.block_on(async { (axum_service().await, tonic_service().await) });
        Self { runtime, axum, actix: actix_service(), tonic }
    }

    /// Sends requests to all services. Returns the requests that were sent and those that are still in flight.
    pub(super) fn drive(&self, text: &dyn Fn() -> String) -> (Vec<Measured>, Vec<Box<dyn Any>>) {
        let open: Vec<Box<dyn Any>> = vec![
            Box::new(drive_http(self.axum, "promql_axum", text)),
            Box::new(drive_http(self.actix, "promql_actix", text)),
            Box::new(self.runtime.block_on(drive_tonic(self.tonic, text))),
        ];
        (vec![http_traffic("promql_axum"), http_traffic("promql_actix"), tonic_traffic()], open)
    }

    /// Drops the requests in flight, which cancels them.
    pub(super) fn end(&self, open: Vec<Box<dyn Any>>, text: &dyn Fn() -> String) {
        drop(open);
        in_flight(text, "promql_axum", "GET", "/a", 0.0);
        in_flight(text, "promql_actix", "GET", "/a", 0.0);
        in_flight(text, "promql_tonic", "POST", WATCH, 0.0);
    }
}

//! Tests for the actix-web adapter.

use std::future::pending;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::mpsc;

use actix_web::body::{BodyStream, SizedStream};
use actix_web::http::header::UPGRADE;
use actix_web::{App, HttpResponse, HttpServer, guard, web};
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use metrics_core::{Exposition, RequestMetrics};

use crate::behavior::{Measured, check};
use crate::client::{ask, ask_with, send, status};

fn first_then(second: fn() -> io::Result<Bytes>) -> BodyStream<impl Stream<Item = io::Result<Bytes>>> {
    let second = stream::once(async move {
        actix_web::rt::task::yield_now().await;
        second()
    });
    BodyStream::new(stream::iter([Ok(Bytes::from_static(b"first"))]).chain(second))
}

async fn length() -> HttpResponse {
    let bytes = stream::iter(["twelve", " bytes"].map(|part| Ok::<_, io::Error>(Bytes::from(part))));
    HttpResponse::Ok().body(SizedStream::new(12, bytes))
}

async fn endless() -> HttpResponse {
    HttpResponse::Ok().streaming(stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(b"0123456789"))))
}

async fn failing() -> actix_web::Result<&'static str> {
    Err(actix_web::error::ErrorInternalServerError("the database is gone"))
}

async fn panicking() -> &'static str {
    if true { panic!("in a handler") } else { "" }
}

/// Adds the routes that [`check`] requests.
fn configure(app: &mut web::ServiceConfig) {
    app.service(
        web::resource("/users/{id}")
            .route(web::get().to(|| async { "a user" }))
            .route(web::head().to(|| async { "a user" })),
    )
    .route("/fail", web::get().to(failing))
    .route("/panic", web::get().to(panicking))
    .route("/panic-in-body", web::get().to(|| async { HttpResponse::Ok().body(first_then(|| panic!("in a body"))) }))
    .route(
        "/broken-body",
        web::get().to(|| async { HttpResponse::Ok().body(first_then(|| Err(io::Error::other("a broken body")))) }),
    )
    .route("/endless", web::get().to(endless))
    .route("/pending", web::get().to(pending::<HttpResponse>))
    .route("/length", web::get().to(length))
    .route("/empty", web::get().to(|| async { HttpResponse::NoContent().finish() }))
    .route(
        "/upgrade",
        web::get().to(|| async {
            HttpResponse::SwitchingProtocols().upgrade("chat").insert_header((UPGRADE, "chat")).finish()
        }),
    );
}

/// Starts a server on a dedicated thread that runs until the process exits.
pub(crate) fn serve(
    configure: impl FnOnce(&mut web::ServiceConfig) + Clone + Send + 'static,
    metrics: RequestMetrics,
    exposition: Exposition,
) -> SocketAddr {
    let (started, addr) = mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let server = HttpServer::new(move || {
                let app = App::new().configure(configure.clone()).service(exposition.resource("/metrics"));
                app.wrap(metrics.clone())
            })
            // By default, a handler keeps running after its client has disconnected.
            .h1_allow_half_closed(false)
            .workers(2)
            .disable_signals()
            .bind("127.0.0.1:0")
            .expect("a free port");
            started.send(server.addrs()[0]).expect("the test waits");
            server.run().await.expect("it runs");
        });
    });
    addr.recv().expect("started")
}

#[test]
fn every_end_of_a_request_is_recorded() {
    let measured = Measured::new();
    let addr = serve(configure, measured.build(|builder| builder), measured.exposition());
    check(addr, &measured, "/users/{id}");
}

#[test]
fn known_routes_start_at_0() {
    let measured = Measured::new();
    let metrics = measured.build(|builder| builder.known_routes([("GET", "/users/{id}")]).exclude("/empty"));
    let addr = serve(configure, metrics, measured.exposition());
    let series = "web_responses_total{path=\"/users/{id}\",method=\"GET\",status=\"200\"}";
    assert_eq!(measured.value(series), Some(0.0));
    assert_eq!(status(&ask(addr, "GET", "/empty")), 204);
    assert_eq!(status(&ask(addr, "GET", "/users/3")), 200);
    measured.recorded("/users/{id}", "GET", "200", 1.0, [0.0, 0.0]);
    assert_eq!(measured.value("web_requests_in_flight{path=\"/empty\",method=\"GET\"}"), None);
}

/// Adds two scopes with the same prefix, the first of which has a guard, and a scope with a different prefix.
fn scopes(app: &mut web::ServiceConfig) {
    let admin = web::scope("/shop").guard(guard::Header("role", "admin"));
    app.service(admin.route("/orders/{id}", web::get().to(|| async { "an order, for an admin" })))
        .service(
            web::scope("/shop")
                .route("/orders/{number}", web::get().to(|| async { "an order" }))
                .route("/carts/{id}", web::get().to(|| async { "a cart" }))
                .route("/failing", web::get().to(failing))
                .route("/endless", web::get().to(endless)),
        )
        .service(web::scope("/other").route("/carts/{id}", web::get().to(|| async { "a cart" })));
}

#[test]
fn scopes_with_one_prefix_record_the_route_that_responds() {
    let measured = Measured::new();
    let addr = serve(scopes, measured.build(|builder| builder), measured.exposition());
    for (path, headers, label) in [
        ("/shop/orders/7", "role: admin\r\n", "/shop/orders/{id}"),
        ("/shop/orders/7", "", "/shop/orders/{number}"),
        ("/shop/carts/7", "", "/shop/carts/{id}"),
        ("/other/carts/7", "", "/other/carts/{id}"),
    ] {
        assert_eq!(status(&ask_with(addr, "GET", path, headers)), 200, "{path}");
        measured.recorded(label, "GET", "200", 1.0, [0.0, 0.0]);
    }
    assert_eq!(status(&ask(addr, "GET", "/shop/failing")), 500);
    measured.recorded("/shop/failing", "GET", "500", 1.0, [1.0, 0.0]);
    // The route is also known while the response body is being sent.
    let mut endless = send(addr, "GET", "/shop/endless", "");
    endless.read_exact(&mut [0; 1_000]).expect("the beginning of a body");
    assert_eq!(measured.of_route("requests_in_flight", "/shop/endless", "GET"), Some(1.0));
    assert_eq!(measured.of_route("requests_in_flight", "other", "GET"), Some(0.0));
    drop(endless);
    measured.recorded("/shop/endless", "GET", "200", 1.0, [0.0, 1.0]);
    for path in ["/shop/nothing", "/shop", "/shop/carts/7/8"] {
        assert_eq!(status(&ask(addr, "GET", path)), 404, "{path}");
    }
    measured.recorded("other", "GET", "404", 3.0, [0.0, 0.0]);
}

#[test]
fn a_middleware_on_an_app_and_a_scope_counts_once() {
    let measured = Measured::new();
    let metrics = measured.build(|builder| builder);
    let inner = metrics.clone();
    let nested = move |app: &mut web::ServiceConfig| {
        app.service(web::scope("/api").route("/failing", web::get().to(failing)).wrap(inner));
    };
    let addr = serve(nested, metrics, measured.exposition());
    for requests in [1.0, 2.0] {
        assert_eq!(status(&ask(addr, "GET", "/api/failing")), 500);
        measured.recorded("/api/failing", "GET", "500", requests, [requests, 0.0]);
    }
    assert_eq!(measured.problems().len(), 1);
}

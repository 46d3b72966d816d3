//! actix-web.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;

use actix_web::body::{BodyStream, SizedStream};
use actix_web::http::header::UPGRADE;
use actix_web::{App, HttpResponse, HttpServer, web};
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use metrics_core::{Exposition, RequestMetrics};

use crate::behavior::{Measured, check};
use crate::client::{ask, status};

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

/// Serves from a thread of its own, which ends with the process.
fn serve(metrics: RequestMetrics, exposition: Exposition) -> SocketAddr {
    let (started, addr) = mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let server = HttpServer::new(move || {
                App::new()
                    .service(
                        web::resource("/users/{id}")
                            .route(web::get().to(|| async { "a user" }))
                            .route(web::head().to(|| async { "a user" })),
                    )
                    .route("/fail", web::get().to(failing))
                    .route("/panic", web::get().to(panicking))
                    .route(
                        "/panic-in-body",
                        web::get().to(|| async { HttpResponse::Ok().body(first_then(|| panic!("in a body"))) }),
                    )
                    .route(
                        "/broken-body",
                        web::get().to(|| async {
                            HttpResponse::Ok().body(first_then(|| Err(io::Error::other("a broken body"))))
                        }),
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
                    )
                    .service(exposition.resource("/metrics"))
                    .wrap(metrics.clone())
            })
            // Else a handler goes on when its client has hung up.
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
    let addr = serve(measured.build(|builder| builder), measured.exposition());
    check(addr, &measured, "/users/{id}");
}

#[test]
fn known_routes_are_there_at_0() {
    let measured = Measured::new();
    let metrics = measured.build(|builder| builder.known_routes([("GET", "/users/{id}")]).exclude("/empty"));
    let addr = serve(metrics, measured.exposition());
    let series = "web_responses_total{path=\"/users/{id}\",method=\"GET\",status=\"200\"}";
    assert_eq!(measured.value(series), Some(0.0));
    assert_eq!(status(&ask(addr, "GET", "/empty")), 204);
    assert_eq!(status(&ask(addr, "GET", "/users/3")), 200);
    measured.recorded("/users/{id}", "GET", "200", 1.0, [0.0, 0.0]);
    assert_eq!(measured.value("web_requests_in_flight{path=\"/empty\",method=\"GET\"}"), None);
}

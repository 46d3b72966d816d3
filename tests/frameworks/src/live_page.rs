//! The live page, mounted in a web framework.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use metrics_core::Exposition;

use crate::behavior::Measured;
use crate::client::{ask, status};
use crate::{actix, axum as with_axum};

/// Checks a page that is mounted at `/admin/live`, next to a layer.
fn check(addr: SocketAddr, measured: &Measured) {
    let page = ask(addr, "GET", "/admin/live");
    assert_eq!(status(&page), 200, "{page}");
    assert!(page.contains("content-type: text/html") && page.contains("content-security-policy: default-src 'none'"));
    let snapshot = ask(addr, "GET", "/admin/live?snapshot");
    assert!(
        snapshot.contains("content-type: application/json") && snapshot.contains("\"prefix\":\"web\""),
        "{snapshot}"
    );
    assert!(ask(addr, "GET", "/admin/live?metrics").contains("\nweb_request_latency_seconds_count{"));
    assert!(ask(addr, "GET", "/admin/live?rules").contains("ErrorBudgetBurn"));
    assert!(ask(addr, "GET", "/admin/live?dashboard").contains("\"schemaVersion\": 39"));
    assert_eq!(status(&ask(addr, "POST", "/admin/live")), 405);
    // The page is an exposition, so it is not measured.
    assert_eq!(measured.of_route("request_latency_seconds_count", "/admin/live", "GET").unwrap_or_default(), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_axum() {
    let measured = Measured::new();
    let nested = Router::new().route_service("/live", measured.exposition().live_page());
    let app =
        Router::new().nest("/admin", nested).route("/a", get(|| async {})).layer(measured.build(|builder| builder));
    let addr = with_axum::serve(app).await;
    tokio::task::spawn_blocking(move || {
        ask(addr, "GET", "/a");
        check(addr, &measured);
    })
    .await
    .expect("no panic");
}

#[test]
fn in_actix() {
    let measured = Measured::new();
    let page = measured.exposition().live_page();
    let configure = move |app: &mut actix_web::web::ServiceConfig| {
        app.service(actix_web::web::scope("/admin").service(page.resource("/live")));
        app.route("/a", actix_web::web::get().to(|| async { "a" }));
    };
    let exposition: Exposition = measured.exposition();
    let addr = actix::serve(configure, measured.build(|builder| builder), exposition);
    ask(addr, "GET", "/a");
    check(addr, &measured);
}

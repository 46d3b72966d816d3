//! A service with two endpoints: ours, and one from third-party middleware for the `prometheus` crate's registry.

use std::net::SocketAddr;
use std::sync::mpsc;

use actix_web::{App, HttpServer, web};
use actix_web_prom::PrometheusMetricsBuilder;
use metrics_core::{Counter, Exposition};

use crate::client::{ask, status};

/// Starts a service with third-party middleware that exposes the `prometheus` crate's default registry at `/theirs`.
/// Our registry is exposed at `/ours`.
fn serve() -> SocketAddr {
    // This call is enough to export our metrics at `/theirs`.
    metrics_core::init();
    let (started, addr) = mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let theirs = PrometheusMetricsBuilder::new("theirs")
                .registry(prometheus::default_registry().clone())
                .endpoint("/theirs")
                .build()
                .expect("nothing of this name is there");
            let server = HttpServer::new(move || {
                App::new()
                    .wrap(theirs.clone())
                    .route("/hello", web::get().to(|| async { "hello" }))
                    .service(Exposition::new().resource("/ours"))
            })
            .workers(1)
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
fn each_endpoint_exposes_both_registries() {
    let jobs = Counter::builder("interop_jobs_total", "Jobs.").register();
    jobs.inc_by(3);
    let addr = serve();
    for _ in 0..2 {
        assert_eq!(status(&ask(addr, "GET", "/hello")), 200);
    }
    let theirs = ask(addr, "GET", "/theirs");
    assert!(theirs.contains("\ninterop_jobs_total 3\n"), "{theirs}");
    let requests = "theirs_http_requests_total{endpoint=\"/hello\",method=\"GET\",status=\"200\"} 2\n";
    assert!(theirs.contains(requests), "{theirs}");
    let ours = ask(addr, "GET", "/ours");
    assert!(ours.contains(requests) && ours.contains("\ninterop_jobs_total 3\n"), "{ours}");
    for text in [&theirs, &ours] {
        assert_eq!(text.matches("# TYPE interop_jobs_total").count(), 1, "{text}");
        assert_eq!(text.matches("# TYPE theirs_http_requests_total").count(), 1, "{text}");
    }
}

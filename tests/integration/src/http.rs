//! Tests for the HTTP server over real sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use metrics_core::{Counter, Gauge, HttpServer, Registry, ServeError, start_http_server};

/// Sends `head` (a request line and headers, without the final empty line) and reads until the connection closes.
fn request(addr: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(addr).expect("the server listens");
    write!(stream, "{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("UTF-8");
    response
}

fn serving(registry: &Registry) -> HttpServer {
    HttpServer::builder().registry(registry).start("127.0.0.1:0").expect("a free port")
}

#[test]
fn get_and_head_of_metrics() {
    let registry = Registry::new();
    Counter::builder("served_total", "Served.").register_in(&registry).expect("valid").inc();
    let server = serving(&registry);
    let response = request(server.local_addr(), "GET /metrics HTTP/1.1");
    let (head, body) = response.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert_eq!(body, "# HELP served_total Served.\n# TYPE served_total counter\nserved_total 1\n");
    let with_query = request(server.local_addr(), "GET /metrics?debug=1 HTTP/1.1");
    assert!(with_query.ends_with("served_total 1\n"));
    let head = request(server.local_addr(), "HEAD /metrics HTTP/1.1");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("version=0.0.4"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    server.shutdown();
}

#[test]
fn other_paths_and_methods() {
    let server = serving(&Registry::new());
    for path in ["/else", "/metrics/", "/Metrics", "/metricsx"] {
        let response = request(server.local_addr(), &format!("GET {path} HTTP/1.1"));
        assert!(response.starts_with("HTTP/1.1 404 Not Found\r\n"), "{path}: {response}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let response = request(server.local_addr(), &format!("{method} /metrics HTTP/1.1"));
        assert!(response.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{method}: {response}");
        assert!(response.contains("\r\nallow: GET, HEAD\r\n"), "{method}: {response}");
    }
    server.shutdown();
}

#[test]
fn ipv6() {
    let registry = Registry::new();
    Gauge::builder("six", "").register_in(&registry).expect("valid").set(6);
    let server = HttpServer::builder().registry(&registry).start("[::1]:0").expect("IPv6 on loopback");
    assert!(server.local_addr().is_ipv6());
    assert!(request(server.local_addr(), "GET /metrics HTTP/1.1").ends_with("six 6\n"));
    server.shutdown();
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let server = serving(&Registry::new());
    let addr = server.local_addr();
    let error = start_http_server(addr).expect_err("in use");
    assert!(matches!(&error, ServeError::Bind { addrs, .. } if *addrs == [addr]), "{error:?}");
    assert!(error.to_string().starts_with(&format!("cannot serve metrics on {addr}: ")), "{error}");
    let error = std::io::Error::from(error);
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&addr.to_string()), "{error}");
    // The first server keeps running, and its port is free after its shutdown.
    assert!(request(addr, "GET /metrics HTTP/1.1").starts_with("HTTP/1.1 200"));
    server.shutdown();
    assert!(TcpStream::connect(addr).is_err());
    let again = HttpServer::builder().start(addr).expect("free again");
    assert_eq!(again.local_addr(), addr);
    again.shutdown();
}

#[test]
fn an_address_that_cannot_be_resolved_is_quoted_with_a_valid_example() {
    for addr in ["9464", ":9464", "no such address", "no-such-host.invalid:9464"] {
        let error = start_http_server(addr).expect_err(addr);
        assert!(matches!(error, ServeError::Resolve { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.starts_with(&format!("cannot resolve {addr:?}: ")), "{text}");
        assert!(text.ends_with("expected a host and a port, such as \"127.0.0.1:9464\""), "{text}");
    }
    let error = start_http_server(&[][..]).expect_err("no address");
    assert_eq!(error.to_string(), "cannot serve metrics: no address was given");
}

#[test]
fn an_aborted_scrape_does_not_affect_others() {
    let registry = Registry::new();
    let family = Counter::builder("long_total", "").labels(["n"]).max_series(100_000).register_in(&registry);
    let family = family.expect("valid");
    for n in 0..50_000_u32 {
        family.labels([&n.to_string()]).inc();
    }
    let server = serving(&registry);
    for read in [0, 1, 100, 100_000] {
        let mut stream = TcpStream::connect(server.local_addr()).expect("the server listens");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
        stream.read_exact(&mut vec![0; read]).expect("the beginning");
        drop(stream);
        let mut half = TcpStream::connect(server.local_addr()).expect("the server listens");
        half.write_all(b"GET /met").expect("sent");
        drop(half);
    }
    let whole = request(server.local_addr(), "GET /metrics HTTP/1.1");
    assert_eq!(whole.matches("long_total{").count(), 50_000);
    server.shutdown();
}

#[test]
fn a_shutdown_waits_for_a_running_scrape() {
    let registry = Registry::new();
    let (begun, wait) = std::sync::mpsc::channel();
    let (go_on, paused) = std::sync::mpsc::channel::<()>();
    let paused = std::sync::Mutex::new(paused);
    Gauge::builder("paused", "")
        .register_callback_in(&registry, move || {
            begun.send(()).expect("the test waits");
            paused.lock().expect("one scrape").recv().expect("the test continues");
            1.0
        })
        .expect("valid");
    let server = serving(&registry);
    let addr = server.local_addr();
    let scrape = std::thread::spawn(move || request(addr, "GET /metrics HTTP/1.1"));
    wait.recv().expect("the scrape has begun");
    // Other connections are served during the scrape.
    assert!(request(addr, "GET /else HTTP/1.1").starts_with("HTTP/1.1 404"));
    let ended = std::thread::spawn(move || server.shutdown());
    while TcpStream::connect(addr).is_ok() {
        std::thread::yield_now();
    }
    go_on.send(()).expect("the scrape waits");
    assert!(scrape.join().expect("no panic").ends_with("paused 1\n"));
    ended.join().expect("no panic");
}

#[tokio::test]
async fn a_server_starts_fails_and_ends_inside_of_a_runtime() {
    let server = start_http_server("127.0.0.1:0").expect("a free port");
    assert!(start_http_server(server.local_addr()).is_err());
    let addr = server.local_addr();
    let response = tokio::task::spawn_blocking(move || request(addr, "GET /metrics HTTP/1.1")).await;
    assert!(response.expect("no panic").starts_with("HTTP/1.1 200"));
    server.shutdown();
}

#[test]
fn strict_servers_reject_problems_and_list_them() {
    Counter::builder("strict_total", "One.").register();
    Counter::builder("strict_total", "Other.").register();
    let error = HttpServer::builder().strict(true).start("127.0.0.1:0").expect_err("a conflict");
    let ServeError::Problems(problems) = &error else { panic!("{error:?}") };
    assert!(problems.iter().any(|problem| problem.family == "strict_total"), "{problems:?}");
    assert!(error.to_string().contains("strict_total is registered with another help"), "{error}");
    HttpServer::builder().strict(true).registry(&Registry::new()).start("127.0.0.1:0").expect("no problem").shutdown();
}

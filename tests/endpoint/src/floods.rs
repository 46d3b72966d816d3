//! Scrapes are served during floods of other connections and requests.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use metrics_core::{Counter, HttpServer, Registry};

use crate::client::{Answer, ask, connect, send};

pub(crate) fn serve(max_connections: usize, series: u32) -> HttpServer {
    let registry = Registry::new();
    with_series(&registry, series);
    let server = HttpServer::builder().registry(&registry).max_connections(max_connections);
    server.start("127.0.0.1:0").expect("a free port")
}

/// Registers a counter family with `series` series, each with the value 1.
pub(crate) fn with_series(registry: &Registry, series: u32) {
    let family = Counter::builder("flooded_total", "").labels(["n"]).max_series(300_000).register_in(registry);
    let family = family.expect("valid");
    for n in 0..series {
        family.labels([&format!("{n:020}")]).inc();
    }
}

pub(crate) fn assert_served(addr: SocketAddr) {
    let answer = ask(addr, "GET /metrics", "");
    assert_eq!((answer.status(), answer.text().matches("flooded_total{").count()), (200, 10), "{}", answer.head);
}

/// Sends a request on a persistent connection and reads the response. Returns false if the connection has closed.
fn ask_again(stream: &mut TcpStream, path: &str, end: &str) -> bool {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    if stream.write_all(request.as_bytes()).is_err() {
        return false;
    }
    let mut response = Vec::new();
    let mut some = [0; 4_096];
    while !response.ends_with(end.as_bytes()) {
        match stream.read(&mut some) {
            Ok(read @ 1..) => response.extend_from_slice(&some[..read]),
            _ => return false,
        }
    }
    true
}

#[test]
fn idle_connections_of_other_clients_are_closed_before_those_of_scrapers() {
    const NOT_FOUND: &str = "Not found; metrics are served at /metrics.\n";
    let addr = serve(64, 10).local_addr();
    let mut scraper = connect(addr);
    assert!(ask_again(&mut scraper, "/metrics", "0\r\n\r\n") || ask_again(&mut scraper, "/metrics", "} 1\n"));
    let mut small: Vec<_> = (0..63).map(|_| connect(addr)).collect();
    assert!(small.iter_mut().all(|client| ask_again(client, "/else", NOT_FOUND)));
    for _ in 0..20 {
        // The server has reached its connection limit, and no connection has been idle for long.
        assert_served(addr);
    }
    assert!(ask_again(&mut scraper, "/metrics", "} 1\n"), "the scraper's connection was closed");
    let alive = small.iter_mut().filter_map(|client| ask_again(client, "/else", NOT_FOUND).then_some(())).count();
    assert!((1..63).contains(&alive), "{alive} of the others are left");
}

#[test]
fn a_client_of_http_1_0_notices_that_its_response_is_incomplete() {
    let registry = Registry::new();
    with_series(&registry, 100_000);
    let server = HttpServer::builder().registry(&registry).max_scrapes(1).start("127.0.0.1:0").expect("a free port");
    let addr = server.local_addr();
    let mut stuck = send(addr, b"GET /metrics HTTP/1.0\r\n\r\n");
    let mut some = [0; 64];
    stuck.read_exact(&mut some).expect("the response begins");
    assert!(some.starts_with(b"HTTP/1.0 200"), "{}", String::from_utf8_lossy(&some));
    // The client reads nothing more, so another scrape takes over its slot.
    let other = send(addr, b"GET /metrics HTTP/1.0\r\nX-Prometheus-Scrape-Timeout-Seconds: 60\r\n\r\n");
    let answer = Answer::read(other);
    assert!(answer.status() == 200 && answer.body.ends_with(b"\"} 1\n"), "{}", answer.head);
    let mut rest = Vec::new();
    let error = stuck.read_to_end(&mut rest).expect_err("the end of the stream is not that of the response");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_steady_slow_reader_gets_everything() {
    let registry = Registry::new();
    with_series(&registry, 100_000);
    let server = HttpServer::builder().registry(&registry).max_scrapes(1).start("127.0.0.1:0").expect("a free port");
    let addr = server.local_addr();
    let mut stream = send(addr, b"GET /metrics HTTP/1.0\r\n\r\n");
    // Another scrape waits, because only one may run at a time.
    let waiting = send(addr, b"GET /metrics HTTP/1.0\r\nX-Prometheus-Scrape-Timeout-Seconds: 60\r\n\r\n");
    let (mut total, mut some) = (0, [0; 6_144]);
    // Keep reading at 60 kB/s past the timeout for clients that read nothing. The system may accept 500 kB at once, and
    // the server sees progress only when it accepts more.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(18) {
        thread::sleep(Duration::from_millis(100));
        total += stream.read(&mut some).expect("the connection of a steady reader stays open");
    }
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the connection stays open");
    let answer = Answer::read(waiting);
    assert_eq!(answer.status(), 200, "{} {:?}", answer.head, begin.elapsed());
    assert!(rest.ends_with(b"\"} 1\n"), "after {total} and {} bytes", rest.len());
}

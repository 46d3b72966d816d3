//! Slow, silent, greedy and malicious clients get a response or are disconnected, and other clients are still served.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use metrics_core::{Counter, HttpServer, HttpServerBuilder, Registry};

use crate::client::{Answer, ask, connect, head, send};
use crate::{global, wait_until};

fn serve(with: impl Fn(HttpServerBuilder) -> HttpServerBuilder, series: u32) -> SocketAddr {
    let registry = Registry::new();
    let family = Counter::builder("long_total", "Long.").labels(["n"]).max_series(300_000).register_in(&registry);
    let family = family.expect("valid");
    for n in 0..series {
        family.labels([&format!("{n:020}")]).inc();
    }
    with(HttpServer::builder().registry(&registry)).start("127.0.0.1:0").expect("a free port").local_addr()
}

/// Asserts that a well-behaved client can scrape all series.
fn is_served(addr: SocketAddr, series: usize) {
    let answer = ask(addr, "GET /metrics", "");
    assert_eq!((answer.status(), answer.text().matches("long_total{").count()), (200, series));
}

fn closed(reason: &str) -> f64 {
    global(&format!("metrics_core_connections_closed_total{{reason=\"{reason}\"}}"))
}

/// Returns true if the server has closed the connection.
fn is_closed(mut stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("possible");
    match stream.read(&mut [0; 64]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[test]
fn slow_heads_do_not_keep_others_out() {
    let addr = serve(|builder| builder.max_connections(64), 10);
    let before = closed("evicted");
    // Open more connections than the limit allows, each with an unfinished request head.
    let slow: Vec<_> = (0..400).map(|_| send(addr, b"GET /metrics HTTP/1.1\r\nX-Slow: ")).collect();
    for _ in 0..20 {
        is_served(addr, 10);
    }
    wait_until("evictions", || closed("evicted") >= before + 336.0);
    // The oldest connection is closed; the newest one may continue.
    wait_until("the first to be closed", || is_closed(&slow[0]));
    let mut last = slow.last().expect("many");
    last.write_all(b"x\r\nConnection: close\r\n\r\n").expect("sent");
    assert_eq!(Answer::read(last).status(), 200);
}

#[test]
fn ten_thousand_connections() {
    let addr = serve(|builder| builder, 10);
    let before = closed("evicted");
    let mut held = Vec::new();
    for n in 0..10_000 {
        // Stay below the process's limit on open files. The server has already closed the oldest connections.
        if held.len() == 400 {
            held.clear();
        }
        held.push(connect(addr));
        if n % 1_000 == 0 {
            is_served(addr, 10);
        }
    }
    is_served(addr, 10);
    assert!(closed("evicted") >= before);
}

#[test]
fn clients_that_do_not_read_do_not_keep_others_out() {
    const SERIES: usize = 300_000;
    let addr = serve(|builder| builder.max_scrapes(4).max_connections(32), 300_000);
    // Start more scrapes than may run at once, each with a response larger than the socket buffers.
    let unread: Vec<_> = (0..12).map(|_| send(addr, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")).collect();
    let begins_with = |stream: &TcpStream, status: &[u8; 12]| {
        stream.set_nonblocking(true).expect("possible");
        let mut first = [0; 12];
        stream.peek(&mut first).is_ok() && first == *status
    };
    wait_until("a refusal", || unread.iter().any(|stream| begins_with(stream, b"HTTP/1.1 503")));
    wait_until("an answer that nobody reads", || unread.iter().any(|stream| begins_with(stream, b"HTTP/1.1 200")));
    wait_until("a scrape among them", || {
        let answer = ask(addr, "GET /metrics", "");
        match answer.status() {
            503 => false,
            status => {
                assert_eq!((status, answer.text().matches("long_total{").count()), (200, SERIES));
                true
            }
        }
    });
    drop(unread);
}

#[test]
fn heads_that_are_too_long_are_refused() {
    let addr = serve(|builder| builder, 10);
    let bomb = format!("X-Bomb: {}\r\n", "x".repeat(1_000_000));
    assert_eq!(ask(addr, "GET /metrics", &bomb).status(), 431);
    let many = "X-Bomb: x\r\n".repeat(1_000);
    assert_eq!(ask(addr, "GET /metrics", &many).status(), 431);
    let mut endless = send(addr, b"GET /metrics HTTP/1.1\r\n");
    while endless.write_all(b"X-Endless: x\r\n").is_ok() {}
    is_served(addr, 10);
}

#[test]
fn bodies_are_not_read() {
    let addr = serve(|builder| builder, 10);
    for (line, status) in [("GET /metrics", 200), ("POST /metrics", 405), ("PUT /else", 404)] {
        let mut stream = send(addr, &head(line, "Content-Length: 1000000000\r\n"));
        // Write until the server closes the connection.
        let some = vec![b'x'; 65_536];
        while stream.write_all(&some).is_ok() {}
        is_served(addr, 10);
        let waiting = ask(addr, line, "Content-Length: 1000000000\r\nExpect: 100-continue\r\n");
        assert_eq!(waiting.status(), status, "{line}: {}", waiting.head);
    }
}

#[test]
fn garbage_is_refused() {
    let addr = serve(|builder| builder, 10);
    for (bytes, status) in [
        (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..], 400),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"\0\0\0\0\r\n\r\n", 400),
        (b"GET /metrics HTTP/9.9\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n: x\r\n\r\n", 400),
        (b"GET \xff HTTP/1.1\r\n\r\n", 400),
    ] {
        let stream = send(addr, bytes);
        stream.shutdown(Shutdown::Write).expect("possible");
        let answer = Answer::read(stream);
        assert!([0, status].contains(&answer.status()), "{:?}: {}", String::from_utf8_lossy(bytes), answer.head);
        is_served(addr, 10);
    }
}

#[test]
fn half_closed_and_half_sent() {
    let addr = serve(|builder| builder, 10);
    // A client that has closed its sending side still gets its response.
    let stream = send(addr, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.shutdown(Shutdown::Write).expect("possible");
    assert_eq!(Answer::read(stream).text().matches("long_total{").count(), 10);
    let half = send(addr, b"GET /met");
    half.shutdown(Shutdown::Write).expect("possible");
    assert_eq!(Answer::read(half).status(), 0);
    // Each pipelined request gets a response.
    let pipelined = send(addr, &[&b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"[..], &head("GET /metrics", "")].concat());
    let mut answers = String::new();
    let mut pipelined = pipelined;
    pipelined.read_to_string(&mut answers).expect("UTF-8");
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2);
    is_served(addr, 10);
}

#[test]
fn when_all_wait_for_a_collector_the_next_gets_503() {
    let registry = Registry::new();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    crate::collectors::register(&registry, &["slow"], move |_| {
        // Block until the test releases the collector or ends.
        wait.lock().expect("no panic").recv().ok();
        Ok(())
    });
    let server =
        HttpServer::builder().registry(&registry).max_connections(2).start("127.0.0.1:0").expect("a free port");
    let addr = server.local_addr();
    let before = closed("refused");
    let busy: Vec<_> = (0..2).map(|_| send(addr, &head("GET /metrics", ""))).collect();
    wait_until("the next to be refused", || {
        let refusal = ask(addr, "GET /metrics", "");
        assert_eq!((refusal.status(), refusal.header("retry-after")), (503, Some("1")), "{}", refusal.head);
        assert_eq!(refusal.text(), "Too many connections.\n");
        closed("refused") >= before + 10.0
    });
    drop(go_on);
    assert!(busy.into_iter().all(|busy| Answer::read(busy).status() == 200));
    wait_until("an answer", || ask(addr, "GET /metrics", "").status() == 200);
    server.shutdown();
}

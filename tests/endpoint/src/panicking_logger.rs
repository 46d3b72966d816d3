//! A logger that panics, such as one that prints to a closed pipe, does not stop the server.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use log::{LevelFilter, Log, Metadata, Record};
use metrics_core::{HttpServer, Registry};

struct Panics;

static CALLS: AtomicUsize = AtomicUsize::new(0);

impl Log for Panics {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // Dependencies may also log, but they do not expect a logger to panic.
        if record.target() == "metrics_core" {
            CALLS.fetch_add(1, Ordering::Relaxed);
            panic!("cannot log {}", record.args());
        }
    }

    fn flush(&self) {}
}

/// Sends `bytes` and returns everything that the server sends before it closes the connection.
fn ask(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).expect("the server listens");
    stream.write_all(bytes).expect("sent");
    stream.shutdown(Shutdown::Write).expect("possible");
    let mut text = String::new();
    stream.read_to_string(&mut text).ok();
    text
}

#[test]
fn scrapes_are_answered_and_the_server_can_be_shut_down() {
    log::set_logger(&Panics).expect("the first");
    log::set_max_level(LevelFilter::Trace);
    let server = HttpServer::builder().registry(&Registry::new()).start("127.0.0.1:0").expect("a free port");
    // The first failure is logged by another thread, perhaps later.
    for _ in 0..11 {
        ask(server.local_addr(), b"\0\0\r\n\r\n");
        let response = ask(server.local_addr(), b"GET /metrics HTTP/1.0\r\n\r\n");
        assert!(response.starts_with("HTTP/1.0 200"), "{response}");
    }
    assert!(CALLS.load(Ordering::Relaxed) >= 10, "nothing was logged");
    server.shutdown();
}

//! Hostile clients. Each attack performs one round and is called repeatedly.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// All attacks. The only valid GET requests that they send are for `/metrics`.
pub(crate) const ATTACKS: [fn(&str); 6] = [slow_heads, garbage, head_bomb, endless_upload, scrapes_unread, vanishing];

/// Timeout for each read and write by an attacker.
const CLIENT_TIMEOUT: Duration = Duration::from_millis(300);

fn connect(service: &str) -> Option<TcpStream> {
    let stream = TcpStream::connect(service).ok()?;
    stream.set_read_timeout(Some(CLIENT_TIMEOUT)).ok()?;
    stream.set_write_timeout(Some(CLIENT_TIMEOUT)).ok()?;
    Some(stream)
}

fn send(service: &str, bytes: &[u8]) -> Option<TcpStream> {
    let mut stream = connect(service)?;
    stream.write_all(bytes).ok()?;
    Some(stream)
}

fn read_some(stream: Option<TcpStream>) {
    if let Some(mut stream) = stream {
        stream.read_exact(&mut [0; 16]).ok();
    }
}

/// Opens many connections that send only the beginning of a request head.
fn slow_heads(service: &str) {
    let held: Vec<_> = (0..100).map(|_| send(service, b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ")).collect();
    held.into_iter().take(3).for_each(read_some);
}

fn garbage(service: &str) {
    for bytes in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..],
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"\0\0\0\0\r\n\r\n",
        b"\xff\xfe GET / HTTP/9.9\r\n\r\n",
        b"BREW /nowhere HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"BREW /nowhere HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"BREW /nowhere HTTP/1.1\r\nAccept: ;;;q=\xff,\"\\\r\n\r\n",
    ] {
        read_some(send(service, bytes));
    }
}

fn head_bomb(service: &str) {
    let Some(mut stream) = send(service, b"BREW /nowhere HTTP/1.1\r\n") else { return };
    let line = [&b"X-Bomb: "[..], &[b'x'; 4_000], b"\r\n"].concat();
    for _ in 0..500 {
        if stream.write_all(&line).is_err() {
            return;
        }
    }
    read_some(Some(stream));
}

/// Announces a 1 GB body but sends only a small part of it.
fn endless_upload(service: &str) {
    let head = b"PUT /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n";
    let Some(mut stream) = send(service, head) else { return };
    for _ in 0..64 {
        if stream.write_all(&[b'x'; 16_384]).is_err() {
            return;
        }
    }
    stream.shutdown(Shutdown::Write).ok();
    read_some(Some(stream));
}

/// Requests many scrapes, reads almost none of the response data, and then closes all connections.
fn scrapes_unread(service: &str) {
    let names = "name[]=x&".repeat(1_000);
    let head = format!("GET /metrics?{names} HTTP/1.1\r\nHost: x\r\n\r\n");
    let whole = b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Prometheus-Scrape-Timeout-Seconds: nan\r\n\r\n";
    let held: Vec<_> = (0..40).map(|at| send(service, if at % 4 == 0 { head.as_bytes() } else { whole })).collect();
    held.into_iter().take(2).for_each(read_some);
}

/// Sends requests and disconnects before reading the responses.
fn vanishing(service: &str) {
    for _ in 0..20 {
        drop(send(service, b"BREW /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    std::thread::sleep(Duration::from_millis(1));
}

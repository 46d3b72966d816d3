//! Attacks with requests that are slow, large, malformed or numerous.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::attack::Attack;

const SCRAPE: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
const LAST_SCRAPE: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const SMALL: &[u8] = b"GET /missing HTTP/1.1\r\nHost: localhost\r\n\r\n";
const LAST_SMALL: &[u8] = b"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const SPLIT: &[u8] =
    b"GET /metrics?name[]=metrics_core_problems HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// The timeout for responses that must arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// Clients that read slowly hold this many of the 32 slots for responses, one for each of their connections.
const SLOW_READERS: usize = 24;
/// Clients that read nothing.
const NON_READERS: usize = 200;
/// Clients that hold a slot and read nothing, for a storm beyond the documented limits.
const STALLED_READERS: usize = 100;
/// The number of connections over which a thread distributes slow writes or small requests.
const WRITERS: usize = 400;
/// The time between two rounds over all connections that are read or written slowly.
const PAUSE: Duration = Duration::from_millis(20);

/// Clients that send more scrapes than the socket buffers can hold the responses to, and read 25 kB/s.
pub(crate) fn slow_readers(attack: &Attack) {
    let mut readers: Vec<Option<TcpStream>> = Vec::new();
    readers.resize_with(SLOW_READERS, || None);
    let mut some = [0; 512];
    while !attack.is_over() {
        for reader in &mut readers {
            let is_open = reader.as_ref().is_some_and(|mut stream| matches!(stream.read(&mut some), Ok(1..)));
            if !is_open {
                *reader = attack.connect_narrow();
                if let Some(stream) = reader {
                    attack.send(stream, 5, &SCRAPE.repeat(5));
                }
            }
        }
        thread::sleep(PAUSE);
    }
}

/// Clients that read nothing. Each response fits into the socket buffers, so it takes no slot for long.
pub(crate) fn non_readers(attack: &Attack) {
    let mut held = std::collections::VecDeque::new();
    while !attack.is_over() {
        if let Some(stream) = attack.connect() {
            attack.send(&stream, 1, SCRAPE);
            held.push_back(stream);
        }
        if held.len() > NON_READERS {
            held.pop_front();
        }
        thread::sleep(PAUSE);
    }
}

/// Clients that send more scrapes than the socket buffers can hold the responses to, and read nothing.
pub(crate) fn stalled_readers(attack: &Attack) {
    let mut held: Vec<Option<TcpStream>> = Vec::new();
    held.resize_with(STALLED_READERS, || None);
    while !attack.is_over() {
        for stream in &mut held {
            // The server takes the slot back after seven seconds, and resets the connection.
            let is_open = stream.as_mut().is_some_and(|stream| stream.write_all(b"\r").is_ok());
            if !is_open {
                *stream = attack.connect_narrow();
                stream.as_ref().map(|stream| attack.send(stream, 5, &SCRAPE.repeat(5)));
            }
        }
        thread::sleep(PAUSE);
    }
}

/// Clients that send one byte of a request's head at a time, and never finish.
pub(crate) fn slow_writers(attack: &Attack) {
    let mut head = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".iter().chain(b"x".iter().cycle());
    let mut writers: Vec<Option<TcpStream>> = Vec::new();
    writers.resize_with(WRITERS, || None);
    while !attack.is_over() {
        let byte = [*head.next().unwrap_or(&b'x')];
        for writer in &mut writers {
            if writer.as_mut().is_none_or(|stream| stream.write_all(&byte).is_err()) {
                *writer = attack.connect();
                writer.as_ref().map(|stream| attack.send(stream, 0, &SCRAPE[..10]));
            }
        }
        thread::sleep(PAUSE);
    }
}

/// A head of one long line, one of many lines, one without an end, and a long path.
pub(crate) fn header_bombs(attack: &Attack) {
    let long = format!("GET /metrics HTTP/1.1\r\nX-Bomb: {}\r\n\r\n", "x".repeat(1_000_000));
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X-Bomb: x\r\n".repeat(10_000));
    let path = format!("GET /{} HTTP/1.1\r\n\r\n", "%2e".repeat(100_000));
    let names = format!("GET /metrics?{} HTTP/1.1\r\n\r\n", "name[]=x&".repeat(7_000));
    for bomb in [long, many, path, names] {
        let Some(stream) = attack.connect() else { continue };
        attack.send(&stream, 1, bomb.as_bytes());
        (&stream).read_exact(&mut [0; 12]).ok();
    }
    let Some(stream) = attack.connect() else { return };
    attack.send(&stream, 1, b"GET /metrics HTTP/1.1\r\n");
    while !attack.is_over() && (&stream).write_all(&b"X-Endless: x\r\n".repeat(1_000)).is_ok() {}
}

/// 100 small requests in one write.
pub(crate) fn pipelined(attack: &Attack) {
    let Some(stream) = attack.connect() else { return };
    attack.send(&stream, 100, &[&SMALL.repeat(99), LAST_SMALL].concat());
    attack.read_all(&stream);
}

/// Ten scrapes in one write.
pub(crate) fn pipelined_scrapes(attack: &Attack) {
    let Some(stream) = attack.connect() else { return };
    attack.send(&stream, 10, &[&SCRAPE.repeat(9), LAST_SCRAPE].concat());
    attack.read_all(&stream);
}

/// Requests to switch to another protocol, and bytes of other protocols.
pub(crate) fn upgrades(attack: &Attack) {
    const GET: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n";
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\u{1}\u{5}hello";
    for request in [
        format!("{GET}{h2c}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        format!("{GET}{websocket}"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0".to_owned(),
        "CONNECT metrics.invalid:443 HTTP/1.1\r\nHost: metrics.invalid\r\n\r\n".to_owned(),
        format!("{GET}Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n"),
        format!("{GET}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello"),
    ] {
        let Some(stream) = attack.connect() else { continue };
        attack.send(&stream, 1, request.as_bytes());
        let mut some = [0; 4_096];
        let read = (&stream).read(&mut some).unwrap_or_default();
        attack.count(&some[..read]);
    }
}

/// Requests that are split in two at each byte in turn, and requests that are sent byte by byte.
pub(crate) fn split(attack: &Attack) {
    for at in 1..SPLIT.len() {
        let Some(stream) = attack.connect() else { continue };
        attack.send(&stream, 1, &SPLIT[..at]);
        thread::sleep(Duration::from_millis(1));
        attack.send(&stream, 0, &SPLIT[at..]);
        expect_answer(attack, &stream);
        if attack.is_over() {
            return;
        }
    }
    let Some(stream) = attack.connect() else { return };
    for byte in SPLIT {
        attack.send(&stream, 0, &[*byte]);
    }
    attack.send(&stream, 1, b"");
    expect_answer(attack, &stream);
}

fn expect_answer(attack: &Attack, stream: &TcpStream) {
    // On a busy machine, a response may take longer than attackers usually wait.
    stream.set_read_timeout(Some(PATIENCE)).ok();
    if !attack.read_all(stream).starts_with(b"HTTP/1.1 200") {
        attack.unanswered();
    }
}

/// Persistent connections with many small requests.
pub(crate) fn small(attack: &Attack) {
    let mut streams: Vec<Option<TcpStream>> = Vec::new();
    streams.resize_with(WRITERS / 2, || None);
    let mut some = [0; 1_024];
    while !attack.is_over() {
        for stream in &mut streams {
            if stream.is_none() {
                *stream = attack.connect();
            }
            let Some(open) = stream.as_mut() else { continue };
            let read = if attack.send(open, 1, SMALL) { open.read(&mut some).unwrap_or_default() } else { 0 };
            attack.count(&some[..read]);
            if read == 0 {
                *stream = None;
            }
        }
    }
}

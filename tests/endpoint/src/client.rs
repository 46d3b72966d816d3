//! A client that sends arbitrary bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use flate2::read::GzDecoder;

/// A server's response. A chunked body is decoded.
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads the response until the connection closes.
    pub(crate) fn read(mut stream: impl Read) -> Self {
        let mut bytes = Vec::new();
        // The server may reset the connection. Keep the bytes that arrived before the reset.
        stream.read_to_end(&mut bytes).ok();
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Self {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Self { head: String::from_utf8_lossy(bytes).into_owned(), body: Vec::new() };
        };
        let head = String::from_utf8(bytes[..end].to_vec()).expect("ASCII");
        let body = &bytes[end + 4..];
        let body = if head.contains("transfer-encoding: chunked") { joined(body) } else { body.to_vec() };
        Self { head, body }
    }

    /// Returns the status, or 0 if there is no response.
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub(crate) fn unzipped(&self) -> Vec<u8> {
        let mut plain = Vec::new();
        GzDecoder::new(&self.body[..]).read_to_end(&mut plain).expect("complete gzip data");
        plain
    }
}

/// Joins the chunks of a chunked body.
fn joined(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        match size.expect("a size") {
            0 => return body,
            size => {
                let chunk = &bytes[end + 2..];
                body.extend_from_slice(&chunk[..size.min(chunk.len())]);
                bytes = chunk.get(size + 2..).unwrap_or_default();
            }
        }
    }
    body
}

/// Connects with a read timeout.
pub(crate) fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream
}

/// Connects and sends `bytes`.
pub(crate) fn send(addr: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = connect(addr);
    stream.write_all(bytes).expect("sent");
    stream
}

/// Returns a request head that includes `headers`, each of which must end with a line break.
pub(crate) fn head(line: &str, headers: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n").into_bytes()
}

/// Sends a request such as `GET /metrics` with additional headers and returns the response, or an empty response if the
/// server closes the connection without responding.
pub(crate) fn ask(addr: SocketAddr, line: &str, headers: &str) -> Answer {
    let mut stream = connect(addr);
    stream.write_all(&head(line, headers)).ok();
    Answer::read(stream)
}

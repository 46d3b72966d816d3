//! A client that sends what it is told to, byte by byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use flate2::read::GzDecoder;

/// What a server answered, its body put together.
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads to the end of the connection.
    pub(crate) fn read(mut stream: impl Read) -> Self {
        let mut bytes = Vec::new();
        // A server that cuts a connection off may reset it; what came before counts.
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

    /// 0 if there is no answer.
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
        GzDecoder::new(&self.body[..]).read_to_end(&mut plain).expect("gzip, and all of it");
        plain
    }
}

/// The body that was sent in chunks.
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

/// Connects, and gives up on an answer that does not come.
pub(crate) fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream
}

/// Sends bytes as they are.
pub(crate) fn send(addr: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = connect(addr);
    stream.write_all(bytes).expect("sent");
    stream
}

/// The head of a request, headers (each with its line's end) included.
pub(crate) fn head(line: &str, headers: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n").into_bytes()
}

/// The answer to a request, as `GET /metrics`, with these headers; none if the server closes the connection before.
pub(crate) fn ask(addr: SocketAddr, line: &str, headers: &str) -> Answer {
    let mut stream = connect(addr);
    stream.write_all(&head(line, headers)).ok();
    Answer::read(stream)
}

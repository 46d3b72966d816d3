//! A client that does what it is told, also what no well-behaved one would do.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Sends a request without a body, and leaves the rest to the caller.
pub(crate) fn send(addr: SocketAddr, method: &str, path: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).expect("the server listens");
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").expect("sent");
    stream
}

/// What the server answers until it closes the connection; nothing where it closes it at once.
pub(crate) fn ask(addr: SocketAddr, method: &str, path: &str) -> String {
    ask_with(addr, method, path, "")
}

/// As [`ask`], with more headers, each with its line's end.
pub(crate) fn ask_with(addr: SocketAddr, method: &str, path: &str, headers: &str) -> String {
    let mut stream = send(addr, method, path, &format!("Connection: close\r\n{headers}"));
    let mut answer = Vec::new();
    // A server that panics may reset the connection; what came before counts.
    stream.read_to_end(&mut answer).ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of an answer; 0 if there is none.
pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

//! A client that sends arbitrary requests, including ones that a well-behaved client would never send.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Sends a request without a body and returns the connection.
pub(crate) fn send(addr: SocketAddr, method: &str, path: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).expect("the server listens");
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").expect("sent");
    stream
}

/// Sends a request and returns the response, or an empty string if the server closes the connection without responding.
pub(crate) fn ask(addr: SocketAddr, method: &str, path: &str) -> String {
    ask_with(addr, method, path, "")
}

/// Like [`ask`], with additional headers, each terminated by a line break.
pub(crate) fn ask_with(addr: SocketAddr, method: &str, path: &str, headers: &str) -> String {
    let mut stream = send(addr, method, path, &format!("Connection: close\r\n{headers}"));
    let mut answer = Vec::new();
    // A server that panics may reset the connection. Keep the bytes that arrived before the reset.
    stream.read_to_end(&mut answer).ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Returns the status of a response, or 0 if the response is empty.
pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

//! The address of a server that receives pushes, in the form `host:port`.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use super::PushContext;

/// Returns the host and the port of an address, or `None` if it has a different form.
pub(in crate::export) fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':').filter(|(host, _)| !host.is_empty())?;
    // IPv6 addresses are written in brackets, as in URLs.
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_host = !host.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '[' | ']' | '@' | '?' | '#'));
    is_host.then_some((host, port.parse().ok().filter(|port| *port != 0)?))
}

/// Returns all addresses of a host.
pub(in crate::export) fn resolve(target: (&str, u16), push: &PushContext<'_>) -> io::Result<Vec<SocketAddr>> {
    push.time_left()?;
    let addrs = target.to_socket_addrs()?.collect();
    // The system's name resolution cannot be canceled, so it may have taken too long.
    push.time_left().map(|_| addrs)
}

/// Adds the failed operation and the address to an error.
pub(in crate::export) fn failed(what: &str, address: &str, error: &io::Error) -> io::Error {
    let in_words: &dyn fmt::Display = match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => &"timed out",
        _ => error,
    };
    io::Error::new(error.kind(), format!("{what} {address}: {in_words}"))
}

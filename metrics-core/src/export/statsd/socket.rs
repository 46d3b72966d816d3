//! The datagram socket of one push, and the addresses to which it connects.
//!
//! A Unix socket reports all errors when a datagram is sent. For UDP, see [`udp`](super::udp).

#[cfg(unix)]
use std::fmt;
use std::io;
#[cfg(unix)]
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
#[cfg(unix)]
use std::path::Path;

use super::super::push::PushContext;
use super::super::push::address;
use super::udp::Udp;
#[cfg(unix)]
use super::udp::uninterrupted;

/// The default size of UDP datagrams: an Ethernet frame minus the headers of IPv6 and UDP and a small reserve.
const UDP_SIZE: usize = 1_432;
/// The default size of datagrams on Unix sockets.
#[cfg(unix)]
const UNIX_SIZE: usize = 8_192;

/// A server's address.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Address<'a> {
    Udp(&'a str, u16),
    #[cfg(unix)]
    Unix(&'a Path),
}

/// The socket of one push.
pub(super) enum Socket<'p> {
    Udp(Udp<'p>),
    #[cfg(unix)]
    Unix {
        socket: UnixDatagram,
        sent: u64,
        push: &'p PushContext<'p>,
    },
}

impl<'a> Address<'a> {
    /// Parses `host:port`, `unix:/path` or `unix:///path`.
    pub(super) fn parse(text: &'a str) -> io::Result<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::unix(text, path.strip_prefix("//").unwrap_or(path));
        }
        let target = address::host_and_port(text).map(|(host, port)| Self::Udp(host, port));
        target.ok_or_else(|| {
            let message = format!(
                "{text:?} is not a valid address; write host:port, such as \"localhost:8125\", or unix:/path/to/socket"
            );
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })
    }

    #[cfg(unix)]
    fn unix(text: &str, path: &'a str) -> io::Result<Self> {
        let invalid = |reason: &dyn fmt::Display| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("{text:?} is not a valid address: {reason}"))
        };
        if path.is_empty() {
            return Err(invalid(&"the path is empty"));
        }
        UnixAddr::from_pathname(path).map(|_| Self::Unix(Path::new(path))).map_err(|error| invalid(&error))
    }

    #[cfg(not(unix))]
    fn unix(text: &str, _path: &'a str) -> io::Result<Self> {
        let message = format!("{text:?} is not supported: this system lacks Unix datagram sockets; write host:port");
        Err(io::Error::new(io::ErrorKind::Unsupported, message))
    }

    /// Returns the default for the maximum size of a datagram.
    pub(super) fn datagram_size(&self) -> usize {
        match self {
            Self::Udp(..) => UDP_SIZE,
            #[cfg(unix)]
            Self::Unix(_) => UNIX_SIZE,
        }
    }

    /// Connects to the address, which is `text` in error messages.
    pub(super) fn connect<'p>(&self, text: &str, push: &'p PushContext<'p>) -> io::Result<Socket<'p>> {
        let failed = |what: &'static str| move |error| address::failed(what, text, &error);
        match *self {
            Self::Udp(host, port) => {
                let addrs = address::resolve((host, port), push).map_err(failed("cannot resolve"))?;
                Udp::connect(addrs, push).map(Socket::Udp).map_err(failed("cannot connect to"))
            }
            #[cfg(unix)]
            Self::Unix(path) => {
                let connect = || {
                    let socket = UnixDatagram::unbound()?;
                    socket.connect(path)?;
                    Ok(Socket::Unix { socket, sent: 0, push })
                };
                connect().map_err(failed("cannot connect to"))
            }
        }
    }
}

impl Socket<'_> {
    /// Sends a datagram.
    pub(super) fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let sent = match self {
            Self::Udp(udp) => udp.send(datagram),
            #[cfg(unix)]
            Self::Unix { socket, sent, push } => uninterrupted(|| {
                // Without a timeout, `send` would wait for a peer that does not read.
                socket.set_write_timeout(Some(push.time_left()?))?;
                socket.send(datagram)
            })
            .map(|_| *sent += 1),
        };
        sent.map_err(|error| if is_too_large(&error) { too_large(datagram.len(), &error) } else { error })
    }

    /// Waits until the system would have reported that a datagram was refused.
    pub(super) fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Udp(udp) => udp.settle(),
            #[cfg(unix)]
            Self::Unix { .. } => Ok(()),
        }
    }

    /// Returns the number of datagrams that count as delivered.
    pub(super) fn delivered(&self) -> u64 {
        match self {
            Self::Udp(udp) => udp.delivered(),
            #[cfg(unix)]
            Self::Unix { sent, .. } => *sent,
        }
    }
}

/// Returns true if the system does not send datagrams of this size (`EMSGSIZE`).
fn is_too_large(error: &io::Error) -> bool {
    let code = if cfg!(windows) {
        10_040
    } else if cfg!(any(target_os = "linux", target_os = "android")) {
        90
    } else {
        40
    };
    error.raw_os_error() == Some(code)
}

fn too_large(size: usize, error: &io::Error) -> io::Error {
    let message =
        format!("a datagram of {size} bytes is too large for the system; set a smaller `datagram_size`: {error}");
    io::Error::new(error.kind(), message)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_host_and_a_port_or_a_path() {
        let parse = |text| Address::parse(text).expect("valid");
        assert_eq!(parse("localhost:8125"), Address::Udp("localhost", 8_125));
        assert_eq!(parse("[::1]:8125"), Address::Udp("::1", 8_125));
        assert_eq!(parse("unix:/var/run/statsd.socket"), Address::Unix(Path::new("/var/run/statsd.socket")));
        assert_eq!(parse("unix:///var/run/statsd.socket"), Address::Unix(Path::new("/var/run/statsd.socket")));
        assert_eq!(parse("unix:statsd.socket"), Address::Unix(Path::new("statsd.socket")));
        assert_eq!(parse("unix:/with:8125"), Address::Unix(Path::new("/with:8125")));
    }
}

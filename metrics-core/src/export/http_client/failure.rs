//! Errors of requests, as messages for operators.

use std::io;

use ureq::{Error, Timeout};

use super::secrets::Secrets;
use super::url::Url;

/// Returns an error that names the server and the cause.
pub(super) fn in_words(url: &Url, secrets: &Secrets, error: Error) -> io::Error {
    let (kind, cause) = match error {
        Error::Timeout(Timeout::Resolve) => (io::ErrorKind::TimedOut, "name resolution timed out".to_owned()),
        Error::Timeout(Timeout::Connect) => (io::ErrorKind::TimedOut, "connecting timed out".to_owned()),
        Error::Timeout(_) => (io::ErrorKind::TimedOut, "timed out".to_owned()),
        Error::HostNotFound => (io::ErrorKind::NotFound, format!("cannot resolve {}", url.host())),
        Error::ConnectionFailed => (io::ErrorKind::ConnectionRefused, "cannot connect to any address".to_owned()),
        // The operating system's message for a timeout on a socket differs between platforms.
        Error::Io(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
            (io::ErrorKind::TimedOut, "timed out".to_owned())
        }
        Error::Io(error) => (error.kind(), error.to_string()),
        // These contain the URL.
        Error::BadUri(_) | Error::RequireHttpsOnly(_) => (io::ErrorKind::InvalidInput, "the URL is invalid".to_owned()),
        // The message contains the response of the proxy, or its URL.
        Error::ConnectProxyFailed(_) | Error::InvalidProxyUrl => {
            (io::ErrorKind::ConnectionRefused, "the proxy refused the connection".to_owned())
        }
        Error::Protocol(error) => (io::ErrorKind::InvalidData, format!("the response is not valid HTTP ({error})")),
        Error::LargeResponseHeader(..) => {
            (io::ErrorKind::InvalidData, "the headers of the response are too long".to_owned())
        }
        error => (io::ErrorKind::Other, error.to_string()),
    };
    io::Error::new(kind, format!("cannot push to {url}: {}", secrets.quote(&cause)))
}

//! Errors of starting a server.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::registry::Problem;

/// Why a server could not be started, or what it was given cannot be used.
///
/// It converts into an [`io::Error`] of a fitting kind, so `?` works in functions that return one.
///
/// # Example: another port where one is taken
///
/// ```
/// use metrics_core::{ServeError, start_http_server};
///
/// let taken = start_http_server("127.0.0.1:0")?;
/// let server = match start_http_server(taken.local_addr()) {
///     Err(ServeError::Bind { .. }) => start_http_server("127.0.0.1:0")?,
///     other => other?,
/// };
/// assert_ne!(server.local_addr(), taken.local_addr());
/// # Ok::<(), ServeError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// The address could not be resolved.
    Resolve {
        /// The address as given, as its `Debug` shows it.
        addr: String,
        /// The system's error.
        source: io::Error,
    },
    /// None of the addresses could be bound.
    Bind {
        /// The addresses that were tried.
        addrs: Vec<SocketAddr>,
        /// The error of the last one.
        source: io::Error,
    },
    /// [`HttpServerBuilder::strict`](crate::HttpServerBuilder::strict) is set, and [`Registry::check`] reports these.
    ///
    /// [`Registry::check`]: crate::Registry::check
    Problems(Vec<Problem>),
    /// A file for TLS could not be read.
    TlsFile {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A certificate, a key or a configuration for TLS cannot be used.
    Tls {
        /// Which of them.
        part: TlsPart,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Credentials that no client could send.
    Credentials(InvalidCredentials),
    /// The server's thread, or what it runs on, could not be started.
    Spawn {
        /// The system's error.
        source: io::Error,
    },
}

/// A part of a TLS configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsPart {
    /// The server's own certificates.
    Certificates,
    /// The server's private key.
    Key,
    /// The authorities that sign the certificates of clients.
    ClientCa,
    /// All of it together.
    Configuration,
}

/// Credentials that no client could send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidCredentials {
    /// A bearer token that is empty, or white space only.
    EmptyToken,
    /// An empty user name.
    EmptyUser,
    /// A user name with a colon, which separates it from the password.
    UserWithColon,
    /// An empty password.
    EmptyPassword,
}

impl ServeError {
    /// The error of a part of a TLS configuration.
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "`tls` alone makes it"))]
    pub(super) fn tls(part: TlsPart, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Tls { part, source: source.into() }
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve { addr, source } => {
                write!(f, "cannot resolve {addr}: {source}; write a host and a port, such as \"127.0.0.1:9464\"")
            }
            Self::Bind { addrs, source } if addrs.is_empty() => write!(f, "cannot serve metrics: {source}"),
            Self::Bind { addrs, source } => {
                let addrs: Vec<String> = addrs.iter().map(ToString::to_string).collect();
                write!(f, "cannot serve metrics on {}: {source}", addrs.join(", "))
            }
            Self::Problems(problems) => {
                f.write_str("some declarations have problems:")?;
                problems.iter().try_for_each(|problem| write!(f, "\n{problem}"))
            }
            Self::TlsFile { path, source } => write!(f, "cannot read {}: {source}", path.display()),
            Self::Tls { part, source } => write!(f, "cannot use the {part}: {source}"),
            Self::Credentials(invalid) => invalid.fmt(f),
            Self::Spawn { source } => write!(f, "cannot start the metrics server: {source}"),
        }
    }
}

impl fmt::Display for TlsPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificates => "certificates",
            Self::Key => "key",
            Self::ClientCa => "authorities of clients",
            Self::Configuration => "TLS configuration",
        })
    }
}

impl fmt::Display for InvalidCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyToken => "the bearer token is empty",
            Self::EmptyUser => "the user name is empty",
            Self::UserWithColon => "the user name contains a colon",
            Self::EmptyPassword => "the password is empty",
        })
    }
}

impl Error for ServeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Resolve { source, .. }
            | Self::Bind { source, .. }
            | Self::TlsFile { source, .. }
            | Self::Spawn { source } => Some(source),
            Self::Tls { source, .. } => Some(source.as_ref()),
            Self::Problems(_) | Self::Credentials(_) => None,
        }
    }
}

impl From<ServeError> for io::Error {
    fn from(error: ServeError) -> Self {
        let kind = match &error {
            ServeError::Resolve { source, .. }
            | ServeError::Bind { source, .. }
            | ServeError::TlsFile { source, .. }
            | ServeError::Spawn { source } => source.kind(),
            ServeError::Problems(_) | ServeError::Tls { .. } => io::ErrorKind::InvalidData,
            ServeError::Credentials(_) => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

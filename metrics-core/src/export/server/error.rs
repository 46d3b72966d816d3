//! Errors that can occur when starting the HTTP server.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::registry::Problem;

/// An error that occurs when an HTTP server cannot be started.
///
/// It converts into an [`io::Error`] with a matching [`io::ErrorKind`], so `?` works in functions that return
/// [`io::Result`].
///
/// # Example: falling back to another port
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
        /// The `Debug` output of the address that was passed in.
        addr: String,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// None of the addresses could be bound.
    Bind {
        /// The addresses that were tried.
        addrs: Vec<SocketAddr>,
        /// The error for the last address that was tried.
        source: io::Error,
    },
    /// [`HttpServerBuilder::strict`](crate::HttpServerBuilder::strict) is set and [`Registry::check`] reports these
    /// problems. Style problems are not included.
    ///
    /// [`Registry::check`]: crate::Registry::check
    Problems(Vec<Problem>),
    /// A TLS file could not be read.
    TlsFile {
        /// The file's path.
        path: PathBuf,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// A certificate, a key or the TLS configuration is invalid.
    Tls {
        /// The invalid part.
        part: TlsPart,
        /// The underlying error.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The configured credentials are invalid.
    Credentials(InvalidCredentials),
    /// The server's thread or its async runtime could not be started.
    Spawn {
        /// The underlying I/O error.
        source: io::Error,
    },
}

/// A part of a TLS configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsPart {
    /// The server's certificate chain.
    Certificates,
    /// The server's private key.
    Key,
    /// The certificate authorities that client certificates are verified against.
    ClientCa,
    /// The TLS configuration as a whole.
    Configuration,
}

/// The reason why the configured credentials are invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidCredentials {
    /// The bearer token is empty or contains only whitespace.
    EmptyToken,
    /// The user name is empty.
    EmptyUser,
    /// The user name contains a colon, which separates it from the password.
    UserWithColon,
    /// The password is empty.
    EmptyPassword,
}

impl ServeError {
    /// Creates a [`ServeError::Tls`].
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "only the `tls` feature uses it"))]
    pub(super) fn tls(part: TlsPart, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Tls { part, source: source.into() }
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve { addr, source } => {
                write!(f, "cannot resolve {addr}: {source}; expected a host and a port, such as \"127.0.0.1:9464\"")
            }
            Self::Bind { addrs, source } if addrs.is_empty() => write!(f, "cannot serve metrics: {source}"),
            Self::Bind { addrs, source } => {
                let addrs: Vec<String> = addrs.iter().map(ToString::to_string).collect();
                write!(f, "cannot serve metrics on {}: {source}", addrs.join(", "))
            }
            Self::Problems(problems) => {
                f.write_str("`strict` is set and the registry has problems:")?;
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
            Self::Key => "private key",
            Self::ClientCa => "client CA certificates",
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

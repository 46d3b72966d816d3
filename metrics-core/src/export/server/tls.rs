//! TLS for the server, and certificates that clients must have.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::HttpServerBuilder;
use super::serve::{Accept, Accepting, IoStream, Secure};

/// What a server needs to speak TLS 1.2 and 1.3: its certificates and its key, and whose clients it lets in.
///
/// # Example: TLS, for clients of one authority only
///
/// ```no_run
/// use metrics_core::{HttpServer, Tls};
///
/// let tls = Tls::from_pem_files("server.pem", "server.key")?.client_ca_file("clients.pem")?;
/// HttpServer::builder().tls(tls).start("0.0.0.0:9100")?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Tls {
    from: From,
}

#[derive(Clone)]
enum From {
    Parts { certificates: Vec<CertificateDer<'static>>, key: Arc<PrivateKeyDer<'static>>, clients: RootCertStore },
    Config(Arc<ServerConfig>),
}

impl Tls {
    /// Certificates (the server's own first) and the key that belongs to it, as PEM.
    ///
    /// # Errors
    ///
    /// Where there is no certificate, or no key, in them.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> io::Result<Self> {
        let certificates = read_certificates(certificates)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| invalid("the key", &error))?;
        let from = From::Parts { certificates, key: Arc::new(key), clients: RootCertStore::empty() };
        Ok(Self { from })
    }

    /// As [`Tls::from_pem`], from files. They are read once: to change certificates while the server runs, make a
    /// [`ServerConfig`] that does so and use [`Tls::from_config`].
    ///
    /// # Errors
    ///
    /// As [`Tls::from_pem`], and where a file cannot be read; the error names it.
    pub fn from_pem_files(certificates: impl AsRef<Path>, key: impl AsRef<Path>) -> io::Result<Self> {
        Self::from_pem(&read(certificates.as_ref())?, &read(key.as_ref())?)
    }

    /// A configuration of `rustls` as it is, for what the others cannot do.
    #[must_use]
    pub fn from_config(config: Arc<ServerConfig>) -> Self {
        Self { from: From::Config(config) }
    }

    /// Lets in only clients with a certificate of one of these authorities, given as PEM.
    ///
    /// # Errors
    ///
    /// Where there is no certificate in it, or one that cannot be an authority; or where the configuration was given by
    /// [`Tls::from_config`], which has its own rule.
    pub fn client_ca(mut self, authorities: &[u8]) -> io::Result<Self> {
        let From::Parts { clients, .. } = &mut self.from else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the configuration of rustls tells which clients it lets in",
            ));
        };
        for authority in read_certificates(authorities)? {
            clients.add(authority).map_err(|error| invalid("an authority", &error))?;
        }
        Ok(self)
    }

    /// As [`Tls::client_ca`], from a file.
    ///
    /// # Errors
    ///
    /// As [`Tls::client_ca`], and where the file cannot be read; the error names it.
    pub fn client_ca_file(self, authorities: impl AsRef<Path>) -> io::Result<Self> {
        self.client_ca(&read(authorities.as_ref())?)
    }

    fn config(&self) -> io::Result<Arc<ServerConfig>> {
        let (certificates, key, clients) = match self.from.clone() {
            From::Config(config) => return Ok(config),
            From::Parts { certificates, key, clients } => (certificates, key, clients),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| invalid("TLS", &error))?;
        let config = if clients.is_empty() {
            config.with_no_client_auth()
        } else {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(clients), provider).build();
            config.with_client_cert_verifier(verifier.map_err(|error| invalid("the authorities", &error))?)
        };
        let config = config.with_single_cert(certificates, key.clone_key());
        let mut config = config.map_err(|error| invalid("the certificate and its key", &error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl HttpServerBuilder {
    /// Speaks TLS only.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.secure = Some(Arc::new(tls));
        self
    }
}

impl Secure for Tls {
    fn acceptor(&self) -> io::Result<Arc<dyn Accept>> {
        Ok(Arc::new(TlsAcceptor::from(self.config()?)))
    }
}

impl Accept for TlsAcceptor {
    fn accept(&self, stream: TcpStream) -> Accepting {
        let accepted = Self::accept(self, stream);
        Box::pin(async move { Ok(Box::new(accepted.await?) as Box<dyn IoStream>) })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn read_certificates(pem: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    let read: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = read.map_err(|error| invalid("a certificate", &error))?;
    if certificates.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "there is no certificate in the PEM"));
    }
    Ok(certificates)
}

fn invalid(what: &str, error: &dyn fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what}: {error}"))
}

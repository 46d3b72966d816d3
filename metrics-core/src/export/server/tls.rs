//! TLS for the server, including the verification of client certificates.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::HttpServerBuilder;
use super::error::{ServeError, TlsPart};
use super::serve::{Accept, Accepting, Secure};
use super::stream::IoStream;

/// A TLS configuration: the server's certificates and key, and optionally the certificate authorities for client
/// certificates.
///
/// The server supports TLS 1.2 and 1.3.
///
/// # Example: TLS with client certificates
///
/// ```no_run
/// use metrics_core::{HttpServer, Tls};
///
/// let tls = Tls::from_pem_files("server.pem", "server.key")?.client_ca_file("clients.pem")?;
/// HttpServer::builder().tls(tls).start("0.0.0.0:9464")?;
/// # Ok::<(), metrics_core::ServeError>(())
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
    /// Creates a configuration from a certificate chain and its private key, both in PEM format. The chain must begin
    /// with the server certificate.
    ///
    /// # Errors
    ///
    /// Returns an error if `certificates` contains no certificate or `key` contains no private key.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, ServeError> {
        let certificates = read_certificates(TlsPart::Certificates, certificates)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| ServeError::tls(TlsPart::Key, error))?;
        let from = From::Parts { certificates, key: Arc::new(key), clients: RootCertStore::empty() };
        Ok(Self { from })
    }

    /// Like [`Tls::from_pem`], but reads files.
    ///
    /// The files are read once. To change certificates while the server runs, use [`Tls::from_config`] with a
    /// [`ServerConfig`] that reloads them.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Tls::from_pem`], and an error that names the file if a file cannot be read.
    pub fn from_pem_files(certificates: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, ServeError> {
        Self::from_pem(&read(certificates.as_ref())?, &read(key.as_ref())?)
    }

    /// Uses a `rustls` configuration unchanged, for options that the other constructors do not offer.
    #[must_use]
    pub fn from_config(config: Arc<ServerConfig>) -> Self {
        Self { from: From::Config(config) }
    }

    /// Requires clients to present a certificate issued by one of these authorities, given in PEM format.
    ///
    /// # Errors
    ///
    /// Returns an error if `authorities` contains no certificates or if one of them cannot be used as an authority.
    /// Also returns an error if the configuration was created with [`Tls::from_config`], because that configuration
    /// sets its own client verifier.
    pub fn client_ca(mut self, authorities: &[u8]) -> Result<Self, ServeError> {
        let From::Parts { clients, .. } = &mut self.from else {
            return Err(ServeError::tls(
                TlsPart::ClientCa,
                "`client_ca` has no effect together with `from_config`; set the client verifier on that configuration",
            ));
        };
        for authority in read_certificates(TlsPart::ClientCa, authorities)? {
            clients.add(authority).map_err(|error| ServeError::tls(TlsPart::ClientCa, error))?;
        }
        Ok(self)
    }

    /// Like [`Tls::client_ca`], but reads a file.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Tls::client_ca`], and an error that names the file if it cannot be read.
    pub fn client_ca_file(self, authorities: impl AsRef<Path>) -> Result<Self, ServeError> {
        self.client_ca(&read(authorities.as_ref())?)
    }

    fn config(&self) -> Result<Arc<ServerConfig>, ServeError> {
        let (certificates, key, clients) = match self.from.clone() {
            From::Config(config) => return Ok(config),
            From::Parts { certificates, key, clients } => (certificates, key, clients),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| ServeError::tls(TlsPart::Configuration, error))?;
        let config = if clients.is_empty() {
            config.with_no_client_auth()
        } else {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(clients), provider).build();
            config.with_client_cert_verifier(verifier.map_err(|error| ServeError::tls(TlsPart::ClientCa, error))?)
        };
        let config = config.with_single_cert(certificates, key.clone_key());
        let mut config = config.map_err(|error| ServeError::tls(TlsPart::Configuration, error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl HttpServerBuilder {
    /// Accepts only TLS connections, with this configuration.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.secure = Some(Arc::new(tls));
        self
    }
}

impl Secure for Tls {
    fn acceptor(&self) -> Result<Arc<dyn Accept>, ServeError> {
        Ok(Arc::new(TlsAcceptor::from(self.config()?)))
    }
}

impl Accept for TlsAcceptor {
    fn accept(&self, stream: Box<dyn IoStream>) -> Accepting {
        let accepted = Self::accept(self, stream);
        Box::pin(async move { Ok(Box::new(accepted.await?) as Box<dyn IoStream>) })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ServeError> {
    fs::read(path).map_err(|source| ServeError::TlsFile { path: path.to_owned(), source })
}

fn read_certificates(part: TlsPart, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ServeError> {
    let read: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = read.map_err(|error| ServeError::tls(part, error))?;
    if certificates.is_empty() {
        return Err(ServeError::tls(part, "the PEM contains no certificate"));
    }
    Ok(certificates)
}

//! Certificates for HTTPS requests.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

#[derive(Clone, Default)]
pub(super) struct TlsOptions {
    /// The certificates of the trusted authorities. If empty, those of the operating system are trusted.
    roots: Vec<Certificate<'static>>,
    client: Option<ClientCert>,
}

impl TlsOptions {
    /// Trusts the authorities of these PEM certificates.
    pub(super) fn trust(&mut self, pem: &[u8]) -> Result<(), String> {
        let certificates = certificates(pem).map_err(|cause| format!("the root certificates are invalid: {cause}"))?;
        self.roots.extend(certificates);
        Ok(())
    }

    pub(super) fn authenticate(&mut self, certificate: &[u8], key: &[u8]) -> Result<(), String> {
        let chain = certificates(certificate).map_err(|cause| format!("the client certificate is invalid: {cause}"))?;
        let key = PrivateKey::from_pem(key).map_err(|_| "the client's key is not a PEM private key".to_owned())?;
        // The client would panic if the key did not match the certificate, so this is checked here.
        let chain_der =
            chain.iter().map(|certificate| rustls::pki_types::CertificateDer::from(certificate.der().to_vec()));
        let key_der = rustls::pki_types::PrivateKeyDer::try_from(key.der().to_vec())
            .map_err(|error| format!("the client's key is invalid: {error}"))?;
        rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_root_certificates(rustls::RootCertStore::empty()))
            .and_then(|builder| builder.with_client_auth_cert(chain_der.collect(), key_der))
            .map_err(|error| format!("the client certificate is invalid: {error}"))?;
        self.client = Some(ClientCert::new_with_certs(&chain, key));
        Ok(())
    }

    pub(super) fn config(&self) -> TlsConfig {
        let roots =
            if self.roots.is_empty() { RootCerts::PlatformVerifier } else { RootCerts::new_with_certs(&self.roots) };
        TlsConfig::builder()
            .root_certs(roots)
            .client_cert(self.client.clone())
            .unversioned_rustls_crypto_provider(provider())
            .build()
    }
}

/// Returns the process's crypto provider, or `ring` if the process has not installed one.
fn provider() -> Arc<CryptoProvider> {
    let default = CryptoProvider::get_default().cloned();
    default.unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()))
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, &'static str> {
    let mut certificates = Vec::new();
    for item in parse_pem(pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(_) => return Err("the text is not valid PEM"),
        }
    }
    if certificates.is_empty() { Err("the text does not contain a PEM certificate") } else { Ok(certificates) }
}

//! A certificate for the server, and the authority that the scrapers trust.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;

/// The files of a server certificate and its key, and the authority that issued it.
pub(crate) struct Certificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) authority: RootCertStore,
}

impl Certificate {
    pub(crate) fn create(directory: &Path) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("valid");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &issuer).expect("valid").pem();
        let mut authority = RootCertStore::empty();
        authority.add(issuer.der().clone()).expect("valid");
        let [path, key_path] = ["server.pem", "server.key"].map(|name| directory.join(name));
        fs::write(&path, certificate).expect("written");
        fs::write(&key_path, key.serialize_pem()).expect("written");
        Self { certificate: path, key: key_path, authority }
    }
}

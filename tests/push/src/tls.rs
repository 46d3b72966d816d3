//! HTTPS: trusted, expired and wrong certificates, client certificates, and handshakes that stall.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Channel, channel};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::receiver::{LONG, Receiver, Reply};
use crate::targets::{HttpTarget, for_each_target, small_registry};

/// A certificate authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key in PEM format.
struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("valid"))
    }

    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose, is_expired: bool) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.extended_key_usages = vec![usage];
        if is_expired {
            params.not_after = date_time_ymd(2001, 1, 1);
        }
        Identity { certificate: params.signed_by(&key, &self.0).expect("valid").pem(), key: key.serialize_pem() }
    }

    fn server(&self) -> Identity {
        self.issue("localhost", ExtendedKeyUsagePurpose::ServerAuth, false)
    }
}

/// Serves HTTPS on a free port and returns its URL. Each request gets status 200.
fn serve(identity: &Identity, clients: Option<&Authority>) -> String {
    serve_recorded(identity, clients).0
}

/// Like [`serve`]. Also returns the beginning of each request.
fn serve_recorded(identity: &Identity, clients: Option<&Authority>) -> (String, Channel<String>) {
    let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let builder = match clients {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.0.der().clone()).expect("a certificate");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("valid"))
        }
        None => builder.with_no_client_auth(),
    };
    let config = Arc::new(builder.with_single_cert(chain, key).expect("valid"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let (sender, requests) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).expect("valid"), stream);
            let mut request = Vec::new();
            let mut more = [0; 4_096];
            while let Ok(len) = stream.read(&mut more) {
                request.extend_from_slice(&more[..len]);
                // The body is short and arrives together with the headers.
                if len == 0 || request.windows(4).any(|four| four == b"\r\n\r\n") {
                    break;
                }
            }
            if !request.is_empty() {
                sender.send(String::from_utf8_lossy(&request).into_owned()).ok();
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok();
                stream.conn.send_close_notify();
                stream.flush().ok();
            }
        }
    });
    (format!("https://localhost:{port}"), requests)
}

for_each_target! {
    fn a_trusted_server_receives_the_push<T>() {
        let authority = Authority::new();
        let (url, requests) = serve_recorded(&authority.server(), None);
        let target = T::new(&url, &small_registry()).root_certificates(&authority.0.pem());
        target.bearer_token(|| Ok("token".to_owned())).push().expect("sent");
        let request = requests.recv_timeout(LONG).expect("a request");
        assert!(request.contains("authorization: Bearer token\r\n"), "{request}");
    }

    fn servers_that_cannot_be_trusted_are_errors<T>() {
        let authority = Authority::new();
        let server = ExtendedKeyUsagePurpose::ServerAuth;
        for (identity, trusted, expected) in [
            (authority.server(), &Authority::new(), "invalid peer certificate"),
            (authority.issue("other.example", server.clone(), false), &authority, "certificate not valid for name"),
            (authority.issue("localhost", server, true), &authority, "certificate expired"),
        ] {
            let url = serve(&identity, None);
            let target = T::new(&url, &small_registry()).root_certificates(&trusted.0.pem());
            let error = target.push().expect_err("it is not trusted").to_string();
            assert!(error.starts_with(&format!("{}: cannot push to {url}: ", T::NAME)), "{error}");
            assert!(error.contains(expected), "{error}");
        }
        // The operating system does not trust the authority either.
        let error = T::new(&serve(&authority.server(), None), &small_registry()).push().expect_err("it is not trusted");
        assert!(error.to_string().contains("certificate"), "{error}");
    }

    fn a_client_certificate_authenticates<T>() {
        let (authority, clients) = (Authority::new(), Authority::new());
        let url = serve(&authority.server(), Some(&clients));
        let anonymous = T::new(&url, &small_registry()).root_certificates(&authority.0.pem());
        let error = anonymous.push().expect_err("a certificate is required").to_string();
        assert!(error.contains("cannot push to https://localhost"), "{error}");
        let Identity { certificate, key } = clients.issue("client", ExtendedKeyUsagePurpose::ClientAuth, false);
        anonymous.client_certificate(&certificate, &key).push().expect("sent");
    }

    fn a_key_that_does_not_fit_the_certificate_is_an_error<T>() {
        let authority = Authority::new();
        let (one, other) = (authority.server(), authority.server());
        let target = T::new("https://localhost:1", &small_registry()).client_certificate(&one.certificate, &other.key);
        let error = target.start(Duration::from_secs(1)).expect_err("it does not fit").to_string();
        assert!(error.starts_with("the client certificate is invalid: "), "{error}");
    }

    fn handshakes_that_stall_or_are_not_tls_are_errors<T>() {
        for (reply, expected) in [
            (Reply::ReadsNothing, "timed out"),
            (Reply::RespondsUnread("HTTP/1.1 400 Bad Request\r\n\r\n"), "cannot push to https://"),
            (Reply::ResetsAfter(5), "cannot push to https://"),
        ] {
            let receiver = Receiver::start([reply]);
            let url = format!("https://localhost:{}", receiver.address().port());
            let target = T::new(&url, &small_registry()).root_certificates(&Authority::new().0.pem());
            let begin = Instant::now();
            let error = target.timeout(Duration::from_millis(300)).push().expect_err("no handshake").to_string();
            assert!(error.contains(expected) && error.contains(&url), "{error}");
            assert!(begin.elapsed() < LONG / 2);
        }
    }
}

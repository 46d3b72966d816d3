//! TLS, client certificates and credentials, over real sockets.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics_core::{Counter, HttpServer, HttpServerBuilder, InvalidCredentials, Registry, ServeError, Tls, TlsPart};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::client::{Answer, ask, connect, head, send};
use crate::{global, wait_until};

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

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn issue(&self, usage: ExtendedKeyUsagePurpose) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &self.0).expect("valid").pem();
        Identity { certificate, key: key.serialize_pem() }
    }

    fn server(&self) -> Identity {
        self.issue(ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn client(&self) -> Identity {
        self.issue(ExtendedKeyUsagePurpose::ClientAuth)
    }
}

impl Identity {
    fn tls(&self) -> Tls {
        Tls::from_pem(self.certificate.as_bytes(), self.key.as_bytes()).expect("valid")
    }
}

fn builder() -> HttpServerBuilder {
    let registry = Registry::new();
    Counter::builder("served_total", "Served.").register_in(&registry).expect("valid").inc();
    HttpServer::builder().registry(&registry)
}

fn serve(builder: HttpServerBuilder) -> SocketAddr {
    builder.start("127.0.0.1:0").expect("a free port").local_addr()
}

type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Connects as a client that trusts the given authority and uses the given identity and one of the given TLS versions.
fn connect_tls(
    addr: SocketAddr,
    trusted: &Authority,
    identity: Option<&Identity>,
    versions: &[&'static SupportedProtocolVersion],
) -> TlsStream {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.pem().as_bytes()).expect("valid")).expect("valid");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).expect("possible");
    let config = config.with_root_certificates(roots);
    let config = match identity {
        None => config.with_no_client_auth(),
        Some(Identity { certificate, key }) => {
            let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("valid");
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("valid");
            config.with_client_auth_cert(vec![certificate], key).expect("valid")
        }
    };
    let name = ServerName::try_from("localhost").expect("a name");
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("possible"), connect(addr))
}

/// Scrapes over TLS with the given identity. Returns an error if the server sends no response.
fn ask_tls(
    addr: SocketAddr,
    trusted: &Authority,
    identity: Option<&Identity>,
    headers: &str,
) -> std::io::Result<Answer> {
    let mut stream = connect_tls(addr, trusted, identity, rustls::DEFAULT_VERSIONS);
    stream.write_all(&head("GET /metrics", headers))?;
    let answer = Answer::read(stream);
    if answer.status() == 0 { Err(std::io::Error::other("no answer")) } else { Ok(answer) }
}

#[test]
fn tls_for_clients_that_trust_the_authority() {
    let authority = Authority::new();
    let addr = serve(builder().tls(authority.server().tls()));
    let answer = ask_tls(addr, &authority, None, "").expect("an answer");
    assert!(answer.text().ends_with("served_total 1\n"));
    let before = global("metrics_core_connections_closed_total{reason=\"handshake\"}");
    let error = ask_tls(addr, &Authority::new(), None, "").err().expect("another authority");
    assert!(error.to_string().contains("certificate"), "{error}");
    // A client that does not use TLS gets no response.
    assert_eq!(ask(addr, "GET /metrics", "").status(), 0);
    wait_until("both in the counter", || {
        global("metrics_core_connections_closed_total{reason=\"handshake\"}") >= before + 2.0
    });
    assert!(ask_tls(addr, &authority, None, "").is_ok());
}

#[test]
fn both_versions_of_tls_and_a_clean_end() {
    let authority = Authority::new();
    let registry = Registry::new();
    let family = Counter::builder("long_total", "Long.").labels(["n"]).max_series(50_000).register_in(&registry);
    let family = family.expect("valid");
    for n in 0..20_000_u32 {
        family.labels([&n.to_string()]).inc();
    }
    let server = HttpServer::builder().registry(&registry).tls(authority.server().tls());
    let addr = server.start("127.0.0.1:0").expect("a free port").local_addr();
    for version in [&TLS12, &TLS13] {
        let mut stream = connect_tls(addr, &authority, None, &[version]);
        stream.write_all(&head("GET /metrics", "")).expect("sent");
        let mut answer = Vec::new();
        // Without a `close_notify` from the server, reading fails because the response may have been truncated.
        stream.read_to_end(&mut answer).expect("a `close_notify`");
        assert!(Answer::read(&answer[..]).body == registry.to_text().into_bytes(), "{version:?}");
    }
}

#[test]
fn tls_on_a_plain_port_is_rejected_at_once() {
    let addr = serve(builder());
    let mut stream = connect_tls(addr, &Authority::new(), None, rustls::DEFAULT_VERSIONS);
    let begin = Instant::now();
    let error = stream.write_all(&head("GET /metrics", "")).and_then(|()| stream.read(&mut [0; 1]));
    assert!(error.is_err());
    // This limit is far below the timeout for request heads.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!(ask(addr, "GET /metrics", "").status(), 200);
}

#[test]
fn clients_need_a_certificate_of_the_right_authority() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let tls = servers.server().tls().client_ca(clients.pem().as_bytes()).expect("an authority");
    let addr = serve(builder().tls(tls));
    let answer = ask_tls(addr, &servers, Some(&clients.client()), "").expect("an answer");
    assert!(answer.text().ends_with("served_total 1\n"));
    for wrong in [None, Some(servers.client()), Some(Authority::new().client()), Some(clients.server())] {
        assert!(ask_tls(addr, &servers, wrong.as_ref(), "").is_err());
    }
    assert!(ask_tls(addr, &servers, Some(&clients.client()), "").is_ok());
}

#[test]
fn invalid_certificates_are_errors_that_name_the_cause() {
    let authority = Authority::new();
    let Identity { certificate, key } = authority.server();
    let error = |certificate: &str, key: &str| match Tls::from_pem(certificate.as_bytes(), key.as_bytes()) {
        Err(error) => error,
        Ok(tls) => builder().tls(tls).start("127.0.0.1:0").expect_err("not a pair"),
    };
    let part = |error: ServeError| match error {
        ServeError::Tls { part, ref source } => {
            assert_eq!(error.to_string(), format!("cannot use the {part}: {source}"));
            part
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(error("", &key).to_string(), "cannot use the certificates: the PEM contains no certificate");
    assert_eq!(part(error("", &key)), TlsPart::Certificates);
    assert_eq!(part(error(&certificate, "")), TlsPart::Key);
    assert_eq!(part(error(&certificate, &authority.server().key)), TlsPart::Configuration);
    let missing = Tls::from_pem_files("no-such-file.pem", "no-such-file.key").expect_err("missing");
    assert!(matches!(&missing, ServeError::TlsFile { path, .. } if path.ends_with("no-such-file.pem")), "{missing:?}");
    assert!(missing.to_string().starts_with("cannot read no-such-file.pem: "), "{missing}");
    assert_eq!(io::Error::from(missing).kind(), io::ErrorKind::NotFound);
    let tls = Tls::from_pem(certificate.as_bytes(), key.as_bytes()).expect("valid");
    assert_eq!(part(tls.client_ca(b"").expect_err("empty")), TlsPart::ClientCa);
}

#[test]
fn credentials() {
    let bearer = serve(builder().bearer_token("s3cret"));
    let basic = serve(builder().basic_auth("Aladdin", "open sesame"));
    let right = [(bearer, "Bearer s3cret"), (basic, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")];
    for (addr, credentials) in right {
        let answer = ask(addr, "GET /metrics", &format!("Authorization: {credentials}\r\n"));
        assert!(answer.text().ends_with("served_total 1\n"));
        assert_eq!(ask(addr, "GET /else", &format!("Authorization: {credentials}\r\n")).status(), 404);
        for wrong in ["", "Authorization: \r\n", "Authorization: Bearer s3cre\r\n", "Authorization: Basic Og==\r\n"] {
            for line in ["GET /metrics", "HEAD /metrics", "GET /", "GET /?snapshot", "GET /else", "POST /metrics"] {
                let answer = ask(addr, line, wrong);
                let scheme = credentials.split(' ').next().expect("a scheme");
                assert_eq!(answer.status(), 401, "{line} {wrong}");
                assert!(answer.header("www-authenticate").is_some_and(|challenge| challenge.starts_with(scheme)));
                assert!(!answer.text().contains("served"));
            }
        }
    }
}

#[test]
fn invalid_credentials_are_errors() {
    for (wrong, why) in [
        (builder().bearer_token(" \n"), InvalidCredentials::EmptyToken),
        (builder().basic_auth("", "open sesame"), InvalidCredentials::EmptyUser),
        (builder().basic_auth("Ala:ddin", "open sesame"), InvalidCredentials::UserWithColon),
        (builder().basic_auth("Aladdin", ""), InvalidCredentials::EmptyPassword),
    ] {
        let error = wrong.start("127.0.0.1:0").expect_err("invalid credentials");
        assert!(matches!(error, ServeError::Credentials(invalid) if invalid == why), "{error:?}");
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::InvalidInput);
    }
    // A token read from a file may end with a line break.
    let addr = serve(builder().bearer_token("s3cret\n"));
    assert_eq!(ask(addr, "GET /metrics", "Authorization: Bearer s3cret\r\n").status(), 200);
}

#[test]
fn credentials_behind_tls() {
    let authority = Authority::new();
    let addr = serve(builder().tls(authority.server().tls()).bearer_token("s3cret"));
    assert_eq!(ask_tls(addr, &authority, None, "").expect("an answer").status(), 401);
    let answer = ask_tls(addr, &authority, None, "Authorization: Bearer s3cret\r\n").expect("an answer");
    assert_eq!(answer.status(), 200);
}

#[test]
fn a_shutdown_does_not_wait_for_handshakes() {
    let server = builder().tls(Authority::new().server().tls()).start("127.0.0.1:0").expect("a free port");
    let addr = server.local_addr();
    let _silent = connect(addr);
    let _half = send(addr, b"\x16\x03\x01");
    let begin = Instant::now();
    server.shutdown();
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
}

#[test]
fn a_shutdown_does_not_wait_for_idle_clients() {
    let authority = Authority::new();
    let server = builder().tls(authority.server().tls()).start("127.0.0.1:0").expect("a free port");
    let mut stream = connect_tls(server.local_addr(), &authority, None, rustls::DEFAULT_VERSIONS);
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    stream.read_exact(&mut [0; 12]).expect("an answer");
    // The client keeps its connection open and begins another request.
    stream.write_all(b"GET /met").expect("sent");
    let begin = Instant::now();
    server.shutdown();
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
}

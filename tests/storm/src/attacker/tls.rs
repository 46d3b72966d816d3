//! TLS handshakes that stall.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::attack::Attack;

/// The number of stalled handshakes that one thread holds open.
const HELD: usize = 400;
/// The pause after each connection. A handshake takes the server about 0.2 ms, so thousands per second would use up a
/// core.
const PAUSE: Duration = Duration::from_millis(2);

/// Handshakes that stall before, within and after the client's first message, and bytes that are not a handshake.
pub(crate) fn stalled_handshakes(attack: &Attack) {
    let hello = hello();
    let half = &hello[..hello.len() / 2];
    let starts =
        [&[], &hello[..1], half, &hello[..], b"GET /metrics HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x40\x00\x01\xff"];
    let mut held: VecDeque<TcpStream> = VecDeque::new();
    for start in starts.into_iter().cycle() {
        if attack.is_over() {
            return;
        }
        if let Some(stream) = attack.connect_to(attack.tls) {
            attack.send(&stream, 0, start);
            held.push_back(stream);
        }
        if held.len() > HELD {
            held.pop_front();
        }
        thread::sleep(PAUSE);
    }
}

/// Returns the first message of a handshake.
fn hello() -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("possible").with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let mut hello = Vec::new();
    let mut connection = ClientConnection::new(Arc::new(config), name).expect("possible");
    connection.write_tls(&mut hello).expect("a vector takes all bytes");
    hello
}

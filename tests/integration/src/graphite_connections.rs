//! Connections to carbon that are refused, slow, reset, or closed too early.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use metrics_core::{Collect, Counter, Gauge, GraphiteBridge, PushError, Registry, Visitor};

use crate::graphite::Carbon;
use crate::sample;

fn error_of(bridge: &GraphiteBridge) -> String {
    bridge.push().expect_err("it fails").to_string()
}

#[test]
fn invalid_addresses_are_rejected_at_the_start() {
    let no_port = ["", "localhost", "localhost:", "localhost:0", "localhost:70000", ":2003", "localhost:carbon"];
    let urls = "http://x:2003 tcp://x:2003 //x:2003 user@x:2003 x/y:2003 x\ty:2003 http://x:2003/ [x:2003";
    for address in no_port.into_iter().chain(urls.split(' ')) {
        let bridge = GraphiteBridge::new(address);
        let expected = format!("{address:?} is not a valid address; write host:port, such as \"localhost:2003\"");
        let error = bridge.start(Duration::from_secs(1)).expect_err("refused");
        assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::InvalidInput, expected.clone()));
        assert_eq!(error_of(&bridge), format!("graphite: {expected}"));
    }
    let zero = GraphiteBridge::new("localhost:2003").start(Duration::ZERO).expect_err("refused");
    assert_eq!(zero.to_string(), "the interval of a pusher must not be 0");
}

#[test]
fn errors_name_the_carbon_and_what_is_wrong_with_it() {
    let registry = Registry::new();
    Gauge::builder("g", "").register_in(&registry).expect("valid");
    // Nothing listens on this address.
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("an address").to_string()
    };
    let error = error_of(&GraphiteBridge::new(&address).registry(&registry));
    assert!(error.starts_with(&format!("graphite: cannot connect to {address}: Connection refused")), "{error}");
    // The top-level domain `invalid` is reserved, so this name never resolves.
    let error = error_of(&GraphiteBridge::new("carbon.invalid:2003").registry(&registry));
    assert!(error.starts_with("graphite: cannot resolve carbon.invalid:2003: "), "{error}");
}

#[test]
fn a_carbon_that_never_reads_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let registry = Registry::new();
    let gauge = Gauge::builder("g", "").labels(["v"]).max_series(100_000).register_in(&registry).expect("valid");
    gauge.labels(["x"]).set(1);
    let bridge =
        GraphiteBridge::new(&address).registry(&registry).timeout(Duration::from_millis(300)).name("never_reads");
    // A small push fits into the socket buffers, but the server never reads it.
    let begin = Instant::now();
    let expected = format!("never_reads: cannot confirm delivery to {address}: timed out");
    assert_eq!(error_of(&bridge), expected);
    // A large push does not fit into the socket buffers.
    let long = "x".repeat(200);
    for n in 0..50_000 {
        gauge.labels([&format!("{n}{long}")]).set(1);
    }
    assert_eq!(error_of(&bridge), format!("never_reads: cannot send all lines to {address}: timed out"));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    let timeouts = sample("metrics_core_push_total{target=\"never_reads\",outcome=\"timeout\"}");
    assert_eq!(timeouts, Some(2.0));
}

#[test]
fn a_reset_connection_is_an_error_even_if_everything_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let cut = thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("a connection");
        // Closing a socket with unread data resets the connection, as does killing the process.
        connection.read_exact(&mut [0; 4]).expect("something");
    });
    let registry = Registry::new();
    let gauge = Gauge::builder("g", "").labels(["v"]).register_in(&registry).expect("valid");
    gauge.labels(["a value that is longer than what is read"]).set(1);
    let error = GraphiteBridge::new(&address).registry(&registry).push().expect_err("the connection is reset");
    assert!(matches!(error, PushError::Target { .. }), "{error:?}");
    cut.join().expect("no panic");
}

/// Twisted, the framework that carbon uses, closes connections this way if it shuts down during a push.
#[test]
fn a_carbon_that_shuts_down_and_closes_with_unread_bytes_is_an_error() {
    let registry = Registry::new();
    let family = Gauge::builder("g", "").labels(["n"]).max_series(20_000).register_in(&registry).expect("valid");
    for n in 0..20_000 {
        family.labels([&format!("{n:040}")]);
    }
    for delay in [0, 1, 5] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let closing = thread::spawn(move || {
            let connection = listener.accept().expect("a connection").0;
            assert_eq!(connection.peek(&mut [0]).expect("a connection"), 1);
            connection.shutdown(Shutdown::Both).expect("a connection");
            thread::sleep(Duration::from_millis(delay));
        });
        let error = GraphiteBridge::new(&address).registry(&registry).push().expect_err("nothing was read");
        closing.join().expect("no panic");
        assert!(error.to_string().contains(&address), "{error}");
    }
}

#[test]
fn a_carbon_that_shuts_down_before_everything_was_sent_is_an_error() {
    /// A collector that shuts down the server's side of the connection during the push.
    struct Late(Mutex<Receiver<TcpStream>>);

    impl Collect for Late {
        fn names(&self) -> Vec<String> {
            vec!["late".to_owned()]
        }

        fn collect(&self, _: &mut dyn Visitor) -> Result<(), Box<dyn Error + Send + Sync>> {
            let connection = self.0.lock().expect("no panic").recv()?;
            connection.shutdown(Shutdown::Write)?;
            // Leak the socket, because closing it would reset the connection.
            std::mem::forget(connection);
            Ok(())
        }
    }

    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let (sends, connections) = channel();
    thread::spawn(move || sends.send(listener.accept().expect("a connection").0));
    let registry = Registry::new();
    Gauge::builder("g", "").register_in(&registry).expect("valid");
    registry.register_collector(Late(Mutex::new(connections))).expect("valid");
    let expected =
        format!("graphite: cannot confirm delivery to {address}: the connection was closed before everything was sent");
    assert_eq!(error_of(&GraphiteBridge::new(&address).registry(&registry)), expected);
}

#[test]
fn a_slow_carbon_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let (sends, received) = channel();
    thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("a connection");
        // The pusher ignores data from the server.
        connection.write_all(b"hello\n").ok();
        let mut all = Vec::new();
        while let Some(byte) = read_byte(&mut connection) {
            all.push(byte);
            thread::yield_now();
        }
        sends.send(all).ok();
        connection.shutdown(Shutdown::Both).ok();
    });
    let registry = Registry::new();
    Gauge::builder("g", "").register_in(&registry).expect("valid").set(2);
    GraphiteBridge::new(&address).registry(&registry).push().expect("it is read eventually");
    let text = String::from_utf8(received.recv_timeout(Duration::from_secs(20)).expect("read")).expect("ASCII");
    assert!(text.starts_with("g 2.0 ") && text.ends_with('\n'), "{text}");
}

fn read_byte(connection: &mut TcpStream) -> Option<u8> {
    let mut byte = [0];
    connection.read_exact(&mut byte).ok().map(|()| byte[0])
}

#[test]
fn an_address_may_be_ipv6() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    let port = listener.local_addr().expect("an address").port();
    let registry = Registry::new();
    Gauge::builder("g", "").register_in(&registry).expect("valid").set(2);
    let reads = thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("a connection");
        let mut text = String::new();
        connection.read_to_string(&mut text).expect("UTF-8");
        text
    });
    GraphiteBridge::new(format!("[::1]:{port}")).registry(&registry).push().expect("it is read");
    assert!(reads.join().expect("no panic").starts_with("g 2.0 "));
}

#[test]
fn a_bridge_pushes_in_the_background_and_flushes_at_the_end() {
    let carbon = Carbon::start();
    let registry = Registry::new();
    let counter = Counter::builder("c_total", "").register_in(&registry).expect("valid");
    let pusher = carbon.bridge(&registry).start(Duration::from_millis(20)).expect("a thread");
    for _ in 0..3 {
        assert!(carbon.received().starts_with("c_total 0.0 "));
    }
    counter.inc_by(3);
    pusher.shutdown().expect("it is read");
    let mut last = String::new();
    while let Ok(text) = carbon.received.recv_timeout(Duration::from_millis(1)) {
        last = text;
    }
    assert!(last.starts_with("c_total 3.0 "), "{last}");
}

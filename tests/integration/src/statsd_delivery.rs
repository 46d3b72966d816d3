//! StatsD servers that are not running, stop, restart, do not read, or cannot be reached: the totals stay right.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use metrics_core::{Counter, Family, Registry, StatsD};
use tempfile::TempDir;

use crate::sample;
use crate::statsd::Server;

const LONG: Duration = Duration::from_secs(20);

/// The counters that a server has received.
#[derive(Debug, Default)]
struct Totals(BTreeMap<String, u64>);

impl Totals {
    fn of_datagrams(datagrams: impl IntoIterator<Item = String>) -> Self {
        let mut totals = Self::default();
        totals.add(datagrams);
        totals
    }

    fn add(&mut self, datagrams: impl IntoIterator<Item = String>) {
        for datagram in datagrams {
            for line in datagram.lines() {
                let (name, value) = line.split_once(':').expect("a name and a value");
                let value: u64 = value.strip_suffix("|c").expect("a counter").parse().expect("a whole number");
                *self.0.entry(name.to_owned()).or_default() += value;
            }
        }
    }

    fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }
}

/// Returns a registry with counters whose lines need several datagrams.
fn counters(registry: &Registry, count: u64) -> Family<Counter, 1> {
    let family = Counter::builder("c_total", "").labels(["n"]).max_series(20_000).register_in(registry).expect("valid");
    for n in 0..count {
        family.labels([&n.to_string()]).inc_by(n);
    }
    family
}

/// Checks that the server has exactly the totals of the service.
fn assert_same(totals: &Totals, family: &Family<Counter, 1>, count: u64) {
    for n in 0..count {
        let n = n.to_string();
        assert_eq!(totals.of(&format!("c_total.n.{n}")) as f64, family.labels([&n]).value(), "{n}");
    }
}

fn error_of(statsd: &StatsD) -> String {
    statsd.push().expect_err("it fails").to_string()
}

/// Returns a directory for a socket, and the path of the socket.
fn directory() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("statsd.socket");
    (dir, path)
}

fn at(path: &Path, registry: &Registry) -> StatsD {
    StatsD::new(format!("unix:{}", path.display())).registry(registry)
}

/// Returns the next datagram, or `None` after a timeout or if there is none.
fn next(socket: &UnixDatagram) -> Option<String> {
    let mut buffer = vec![0; 70_000];
    let size = socket.recv(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..size]).into_owned())
}

/// Returns all datagrams in the queue of the socket.
fn queued(socket: &UnixDatagram) -> Vec<String> {
    socket.set_nonblocking(true).expect("a socket");
    std::iter::from_fn(|| next(socket)).collect()
}

/// Pushes while the socket is being read, and adds everything that it receives to `totals`.
fn push_and_read(statsd: &StatsD, socket: &UnixDatagram, totals: &mut Totals) {
    socket.set_nonblocking(false).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(10))).expect("a socket");
    thread::scope(|scope| {
        let pushing = scope.spawn(|| statsd.push());
        while !pushing.is_finished() {
            totals.add(next(socket));
        }
        pushing.join().expect("no panic").expect("it is sent");
    });
    totals.add(queued(socket));
}

#[test]
fn an_outage_is_made_up_for_after_a_restart() {
    let registry = Registry::new();
    let counter = Counter::builder("c_total", "").register_in(&registry).expect("valid");
    let server = Server::start();
    let address = server.address();
    let statsd = server.statsd(&registry);
    let mut totals = Totals::default();
    let mut server = Some(server);
    for round in 0..5 {
        counter.inc_by(round);
        drop(server.take());
        for _ in 0..3 {
            counter.inc();
            let error = error_of(&statsd);
            assert!(error.starts_with(&format!("statsd: cannot send everything to {address}: Connection refused")));
        }
        let restarted = Server::at(&address);
        statsd.push().expect("it is sent");
        totals.add(restarted.datagrams());
        assert_eq!(totals.of("c_total") as f64, counter.value());
        server = Some(restarted);
    }
}

#[test]
fn datagrams_that_a_stopping_server_refuses_are_sent_again() {
    const SERIES: u64 = 1_000;
    let registry = Registry::new();
    let family = counters(&registry, SERIES);
    let elsewhere = Server::start();
    for received in [1, 2, 5] {
        let server = Server::start();
        let statsd = server.statsd(&registry).datagram_size(512);
        // A socket that is connected to another peer refuses all datagrams, and keeps those in its queue.
        let mut totals = thread::scope(|scope| {
            let stopping = scope.spawn(|| {
                let totals = Totals::of_datagrams((0..received).map(|_| server.next().expect("a datagram")));
                server.socket.connect(elsewhere.address()).expect("a peer");
                totals
            });
            let first = statsd.push();
            let totals = stopping.join().expect("no panic");
            // All datagrams may have been sent before the server stopped.
            if first.is_ok() {
                for n in 0..SERIES {
                    family.labels([&n.to_string()]).inc();
                }
                statsd.push().expect_err("it is refused");
            }
            totals
        });
        server.socket.set_nonblocking(true).expect("a socket");
        totals.add(std::iter::from_fn(|| server.next()));
        let address = server.address();
        drop(server);
        let restarted = Server::at(&address);
        statsd.push().expect("it is sent");
        totals.add(restarted.datagrams());
        assert_same(&totals, &family, SERIES);
    }
}

#[test]
fn a_name_with_several_addresses_reaches_the_one_with_a_server() {
    let registry = Registry::new();
    Counter::builder("c_total", "").register_in(&registry).expect("valid").inc();
    // Nothing is listening on the IPv6 address of `localhost`, if it has one.
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    socket.set_read_timeout(Some(LONG)).expect("a socket");
    let port = socket.local_addr().expect("an address").port();
    StatsD::new(format!("localhost:{port}")).registry(&registry).push().expect("it is sent");
    let mut buffer = [0; 64];
    let size = socket.recv(&mut buffer).expect("a datagram");
    assert_eq!(&buffer[..size], b"c_total:1|c");
}

#[test]
fn an_unresolvable_name_is_an_error() {
    // The top-level domain `invalid` is reserved, so this name never resolves.
    let error = error_of(&StatsD::new("statsd.invalid:8125").registry(&Registry::new()));
    assert!(error.starts_with("statsd: cannot resolve statsd.invalid:8125: "), "{error}");
}

#[test]
fn a_unix_socket_that_does_not_exist_yet_is_retried() {
    let (_dir, path) = directory();
    let registry = Registry::new();
    let counter = Counter::builder("c_total", "").register_in(&registry).expect("valid");
    counter.inc_by(3);
    let statsd = at(&path, &registry);
    let expected = format!("statsd: cannot connect to unix:{}: ", path.display());
    let error = error_of(&statsd);
    assert!(error.starts_with(&format!("{expected}No such file or directory")), "{error}");
    let server = UnixDatagram::bind(&path).expect("a socket");
    statsd.push().expect("it is sent");
    assert_eq!(queued(&server), ["c_total:3|c"]);
    // The file of a server that has ended remains.
    drop(server);
    counter.inc();
    let error = error_of(&statsd);
    assert!(error.starts_with(&format!("{expected}Connection refused")), "{error}");
    std::fs::remove_file(&path).expect("a file");
    let server = UnixDatagram::bind(&path).expect("a socket");
    statsd.push().expect("it is sent");
    assert_eq!(queued(&server), ["c_total:1|c"]);
}

#[test]
fn invalid_unix_paths_are_rejected_at_the_start() {
    for (path, reason) in [("", "the path is empty"), ("a\0b", "paths must not contain interior null bytes")] {
        let address = format!("unix:{path}");
        let error = StatsD::new(&address).start(LONG).expect_err("refused").to_string();
        assert_eq!(error, format!("{address:?} is not a valid address: {reason}"));
    }
    let long = format!("unix:/{}", "x".repeat(200));
    let error = StatsD::new(&long).start(LONG).expect_err("refused").to_string();
    assert!(error.starts_with(&format!("{long:?} is not a valid address: path must be shorter than")), "{error}");
}

#[test]
fn a_unix_server_that_does_not_read_times_out() {
    // Even the longest customary queue holds fewer datagrams.
    const SERIES: u64 = 5_000;
    let (_dir, path) = directory();
    let registry = Registry::new();
    let family = counters(&registry, SERIES);
    let server = UnixDatagram::bind(&path).expect("a socket");
    let statsd = at(&path, &registry).datagram_size(64).timeout(Duration::from_millis(300)).name("statsd_full");
    let begin = Instant::now();
    let expected = format!("statsd_full: cannot send everything to unix:{}: timed out", path.display());
    assert_eq!(error_of(&statsd), expected);
    assert!(begin.elapsed() < LONG, "{:?}", begin.elapsed());
    assert_eq!(sample("metrics_core_push_total{target=\"statsd_full\",outcome=\"timeout\"}"), Some(1.0));
    let received = queued(&server);
    assert!(!received.is_empty() && received.len() < SERIES as usize / 4, "{}", received.len());
    let mut totals = Totals::of_datagrams(received);
    for n in 0..SERIES {
        family.labels([&n.to_string()]).inc();
    }
    push_and_read(&statsd.timeout(LONG), &server, &mut totals);
    assert_same(&totals, &family, SERIES);
}

#[test]
fn a_unix_server_that_stops_in_the_middle_loses_nothing() {
    // Even the longest customary queue holds fewer datagrams.
    const SERIES: u64 = 5_000;
    let (_dir, path) = directory();
    let registry = Registry::new();
    let family = counters(&registry, SERIES);
    let statsd = at(&path, &registry).datagram_size(64);
    let server = UnixDatagram::bind(&path).expect("a socket");
    let mut totals = thread::scope(|scope| {
        let stopping = scope.spawn(|| {
            let first = next(&server).expect("a datagram");
            // The socket refuses further datagrams, and keeps those in its queue.
            server.shutdown(std::net::Shutdown::Read).expect("a socket");
            first
        });
        // Without a reader, the queue is too short for all datagrams. A push that is already waiting times out.
        statsd.clone().timeout(Duration::from_millis(300)).push().expect_err("it is refused");
        Totals::of_datagrams([stopping.join().expect("no panic")])
    });
    // An empty datagram is the end of the queue.
    totals.add(std::iter::from_fn(|| next(&server)).take_while(|datagram| !datagram.is_empty()));
    std::fs::remove_file(&path).expect("a file");
    let restarted = UnixDatagram::bind(&path).expect("a socket");
    push_and_read(&statsd, &restarted, &mut totals);
    assert_same(&totals, &family, SERIES);
}

/// Checks the error of a push whose datagrams are too large for the system.
fn assert_too_large(statsd: &StatsD, address: &str) {
    let error = error_of(&statsd.clone().datagram_size(5_000_000));
    assert!(error.starts_with(&format!("statsd: cannot send everything to {address}: a datagram of ")), "{error}");
    assert!(error.contains(" bytes is too large for the system; set a smaller `datagram_size`: "), "{error}");
}

#[test]
fn a_udp_datagram_too_large_for_the_system_is_an_error() {
    // Together more than 64 KiB.
    const SERIES: u64 = 6_000;
    let registry = Registry::new();
    let family = counters(&registry, SERIES);
    let server = Server::start();
    let statsd = server.statsd(&registry);
    assert_too_large(&statsd, &server.address());
    // Nothing has been delivered, so the whole totals follow.
    statsd.datagram_size(50_000).push().expect("it is sent");
    assert_same(&Totals::of_datagrams(server.datagrams()), &family, SERIES);
}

#[test]
fn a_unix_datagram_too_large_for_the_system_is_an_error() {
    // Together more than the usual size of a send buffer, 208 KiB.
    const SERIES: u64 = 16_000;
    let (_dir, path) = directory();
    let registry = Registry::new();
    let family = counters(&registry, SERIES);
    let server = UnixDatagram::bind(&path).expect("a socket");
    let statsd = at(&path, &registry);
    assert_too_large(&statsd, &format!("unix:{}", path.display()));
    let mut totals = Totals::default();
    push_and_read(&statsd, &server, &mut totals);
    assert_same(&totals, &family, SERIES);
}

#[test]
fn a_push_without_time_left_is_a_timeout() {
    let server = Server::start();
    let registry = Registry::new();
    Counter::builder("c_total", "").register_in(&registry).expect("valid").inc();
    let statsd = server.statsd(&registry);
    let error = error_of(&statsd.clone().timeout(Duration::from_nanos(1)));
    assert_eq!(error, "statsd: the push timed out");
    assert_eq!(server.lines(&statsd), ["c_total:1|c"]);
}

#[test]
fn increments_during_pushes_are_sent_exactly_once() {
    const EACH: u64 = 50_000;
    let (_dir, path) = directory();
    let registry = Registry::new();
    let family = counters(&registry, 0);
    // A full Unix socket makes pushes wait, so a slow reader loses nothing.
    let server = UnixDatagram::bind(&path).expect("a socket");
    server.set_read_timeout(Some(Duration::from_millis(10))).expect("a socket");
    let statsd = at(&path, &registry);
    let pusher = statsd.start(Duration::from_millis(1)).expect("a thread");
    let mut totals = Totals::default();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        // A push through a clone does not overlap with those of the pusher.
        let others = scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                statsd.clone().push().expect("it is sent");
            }
        });
        let count = |n| (0..EACH).for_each(|_| family.labels([n]).inc());
        let counting = ["0", "1"].map(|n| scope.spawn(move || count(n)));
        while counting.iter().any(|thread| !thread.is_finished()) {
            totals.add(next(&server));
        }
        is_done.store(true, Ordering::Relaxed);
        while !others.is_finished() {
            totals.add(next(&server));
        }
    });
    assert_eq!(family.labels(["0"]).value(), EACH as f64);
    pusher.shutdown().expect("it is sent");
    totals.add(queued(&server));
    assert_same(&totals, &family, 2);
}

#[test]
fn a_pusher_retries_until_the_server_runs_and_flushes_at_the_end() {
    let server = Server::start();
    let address = server.address();
    drop(server);
    let registry = Registry::new();
    let counter = Counter::builder("c_total", "").register_in(&registry).expect("valid");
    counter.inc_by(2);
    let statsd = StatsD::new(&address).registry(&registry).name("statsd_retries");
    let pusher = statsd.start(Duration::from_millis(20)).expect("a thread");
    let failures = || sample("metrics_core_push_total{target=\"statsd_retries\",outcome=\"error\"}");
    let deadline = Instant::now() + LONG;
    while failures() < Some(2.0) {
        assert!(Instant::now() < deadline, "no push fails");
        thread::yield_now();
    }
    let server = Server::at(&address);
    let mut totals = Totals::default();
    while totals.of("c_total") < 2 {
        totals.add([server.next().expect("a datagram")]);
    }
    counter.inc_by(5);
    pusher.shutdown().expect("it is sent");
    totals.add(server.datagrams());
    assert_eq!(totals.of("c_total"), 7);
}

//! The state of an attack: its target, its end, its limit on new connections, and its tally.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// The most connections that an attack holds open.
const MOST_HELD: usize = 10_000;
/// The timeout of each read and write. A thread that waits for longer does not attack.
const TIMEOUT: Duration = Duration::from_millis(500);
/// The longest delay that later connections make up for.
const CATCH_UP: Duration = Duration::from_millis(20);

pub(crate) struct Attack {
    plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    until: Instant,
    /// The number of threads of each attack.
    threads: usize,
    /// The time between two connections, and the earliest time of the next one.
    pace: (Duration, Mutex<Instant>),
    connections: AtomicU64,
    requests: AtomicU64,
    answers: AtomicU64,
    unanswered: AtomicU64,
}

impl Attack {
    /// `rate` limits the new connections per second; 0 means unlimited.
    pub(crate) fn new([plain, tls]: [SocketAddr; 2], time: Duration, rate: u32, threads: usize) -> Self {
        let gap = Duration::from_secs(1).checked_div(rate).unwrap_or_default();
        Self {
            plain,
            tls,
            until: Instant::now() + time,
            threads,
            pace: (gap, Mutex::new(Instant::now())),
            connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Returns the number of connections that one thread may hold open.
    pub(crate) fn most_held(&self) -> usize {
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
        let files = files.and_then(|files| files.parse().ok()).unwrap_or(1_024_usize);
        // A part of the descriptors is left for attacks that run in parallel.
        MOST_HELD.min(files * 3 / 4) / self.threads
    }

    /// Waits until the next connection may be opened.
    fn wait(&self) {
        let (gap, next) = &self.pace;
        let at = {
            let mut next = next.lock().expect("no panic");
            // If a thread sleeps for too long, its next connections make up for the delay.
            let at = (*next).max(Instant::now() - CATCH_UP);
            *next = at + *gap;
            at
        };
        thread::sleep(at.saturating_duration_since(Instant::now()));
    }

    pub(crate) fn connect(&self) -> Option<TcpStream> {
        self.connect_to(self.plain)
    }

    pub(crate) fn connect_to(&self, addr: SocketAddr) -> Option<TcpStream> {
        self.wait();
        let stream = TcpStream::connect_timeout(&addr, TIMEOUT).ok()?;
        self.connected(&stream);
        Some(stream)
    }

    /// Connects with the smallest receive buffer, so that the server cannot send far ahead.
    pub(crate) fn connect_narrow(&self) -> Option<TcpStream> {
        self.wait();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
        socket.set_recv_buffer_size(4_096).ok()?;
        socket.connect_timeout(&self.plain.into(), TIMEOUT).ok()?;
        let stream = TcpStream::from(socket);
        self.connected(&stream);
        Some(stream)
    }

    fn connected(&self, stream: &TcpStream) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        stream.set_nodelay(true).ok();
        stream.set_read_timeout(Some(TIMEOUT)).ok();
        stream.set_write_timeout(Some(TIMEOUT)).ok();
    }

    /// Sends `requests` requests at once. Returns false if the server has closed the connection.
    pub(crate) fn send(&self, mut stream: &TcpStream, requests: u64, bytes: &[u8]) -> bool {
        self.requests.fetch_add(requests, Ordering::Relaxed);
        stream.write_all(bytes).is_ok()
    }

    /// Reads until the connection closes, and counts the responses with status 200 or 404. Returns all bytes.
    pub(crate) fn read_all(&self, mut stream: &TcpStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).ok();
        self.count(&bytes);
        bytes
    }

    /// Counts the responses with status 200 or 404.
    pub(crate) fn count(&self, bytes: &[u8]) {
        let answers = bytes.windows(12).filter(|at| matches!(*at, b"HTTP/1.1 200" | b"HTTP/1.1 404")).count();
        self.answers.fetch_add(answers as u64, Ordering::Relaxed);
    }

    /// Counts a valid request on a connection that the server closed without a response.
    pub(crate) fn unanswered(&self) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the connections, requests and responses, and the valid requests without a response.
    pub(crate) fn tally(&self) -> String {
        let all = [&self.connections, &self.requests, &self.answers, &self.unanswered];
        all.map(|count| count.load(Ordering::Relaxed).to_string()).join(" ")
    }
}

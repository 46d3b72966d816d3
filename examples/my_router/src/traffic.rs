//! Sends requests to the service one at a time, and prints a progress line with the number of responses by status code.

use std::io::{self, IsTerminal, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, panic};

use crate::BUG;

const PATHS: [&str; 8] = ["/foo", "/foo", "/foo", "/bar", "/slow", "/fail", "/panic", "/nowhere"];

/// Number of panics in the `/panic` handler.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// A thread that sends requests to the service until it is stopped.
pub(crate) struct Traffic {
    thread: JoinHandle<()>,
    stopped: Arc<AtomicBool>,
}

impl Traffic {
    pub(crate) fn start(service: SocketAddr) -> Self {
        count_panics();
        let stopped = Arc::new(AtomicBool::new(false));
        let is_stopped = Arc::clone(&stopped);
        Self { thread: thread::spawn(move || drive(service, &is_stopped)), stopped }
    }

    /// Stops the thread once it has received its last response and printed the final progress line.
    pub(crate) fn stop(self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.thread.join().ok();
    }
}

/// Counts panics in the `/panic` handler instead of printing them. Other panics are still printed.
fn count_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref() == Some(&BUG) {
            PANICS.fetch_add(1, Ordering::Relaxed);
        } else {
            print(info);
        }
    }));
}

fn drive(service: SocketAddr, stopped: &AtomicBool) {
    let mut stderr = io::stderr();
    // On a terminal, update one line in place. Otherwise, write a new line every ten seconds.
    let (interval, start, end) =
        if stderr.is_terminal() { (Duration::from_millis(200), "\r", "") } else { (Duration::from_secs(10), "", "\n") };
    let mut counts = Counts::default();
    let mut shown: Option<Instant> = None;
    for path in PATHS.iter().cycle() {
        counts.add(get(service, path));
        if shown.is_none_or(|shown| shown.elapsed() >= interval) {
            shown = Some(Instant::now());
            // Counts only grow, so each line is at least as long as the previous one and overwrites it completely.
            write!(stderr, "{start}{counts}{end}").ok();
        }
        if stopped.load(Ordering::Relaxed) {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    writeln!(stderr, "{start}{counts}").ok();
}

/// Sends a request and returns the response's status code, or `None` if there is no valid response.
fn get(service: SocketAddr, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(service).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {service}\r\nConnection: close\r\n\r\n").ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).ok()?;
    response.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// Responses by status.
#[derive(Default)]
struct Counts {
    ok: u64,
    not_found: u64,
    errors: u64,
    unanswered: u64,
}

impl Counts {
    fn add(&mut self, status: Option<u16>) {
        *match status {
            Some(200) => &mut self.ok,
            Some(404) => &mut self.not_found,
            Some(_) => &mut self.errors,
            None => &mut self.unanswered,
        } += 1;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ok, not_found, errors, unanswered } = self;
        let (requests, panics) = (ok + not_found + errors + unanswered, PANICS.load(Ordering::Relaxed));
        write!(f, "Requests: {requests} (200: {ok}, 404: {not_found}, 500: {errors}), including panics: {panics}")?;
        if *unanswered > 0 { write!(f, ", without a response: {unanswered}") } else { Ok(()) }
    }
}

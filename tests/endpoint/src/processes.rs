//! Servers in separate processes that run out of file descriptors, are flooded, or are paused.

#![cfg(target_os = "linux")]

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use metrics_core::{HttpServer, Registry};

use crate::client::{Answer, ask, connect, head, send};
use crate::floods::{assert_served, serve, with_series};
use crate::{global, wait_until};

/// An environment variable that is set only in server processes.
const IS_SERVER: &str = "ENDPOINT_TESTS_SERVE";

/// A server in a child process. Dropping this value kills the process.
struct ServerProcess {
    child: Child,
    stdout: BufReader<ChildStdout>,
    addr: SocketAddr,
}

impl ServerProcess {
    /// Runs the test `name` in a child process whose shell first runs the command `limit`.
    ///
    /// In the child process, calls `serve` and returns `None` when the test is over.
    fn start(name: &str, limit: &str, serve: impl FnOnce() -> HttpServer) -> Option<Self> {
        if env::var_os(IS_SERVER).is_some() {
            let server = serve();
            println!("listens on {}", server.local_addr());
            std::io::stdin().read_to_string(&mut String::new()).expect("readable");
            return None;
        }
        let mut command = Command::new("sh");
        let script = format!("{limit}; exec \"$0\" --exact \"processes::$1\" --nocapture");
        command.args(["-c", &script]).arg(env::current_exe().expect("known")).arg(name).env(IS_SERVER, "1");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut server = Self { child, stdout, addr: SocketAddr::from(([0; 4], 0)) };
        server.addr = server.reads("listens on ").parse().expect("an address");
        Some(server)
    }

    /// Reads the output until a line contains `begin`, and returns the rest of that line.
    fn reads(&mut self, begin: &str) -> String {
        let mut lines = self.stdout.by_ref().lines().map(|line| line.expect("UTF-8"));
        lines.find_map(|line| Some(line.split(begin).nth(1)?.to_owned())).expect("it prints the line")
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs").count()
    }

    /// Sends a signal and waits until the process is in one of the given states.
    fn signal(&self, signal: &str, states: &[char]) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("installed").success());
        wait_until("the state of the process", || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(states))
        });
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().expect("it ends").success());
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Kill the process if the test has failed.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_flood_of_connections_keeps_no_scrape_out_and_few_descriptors() {
    const MAX: usize = 256;
    let name = "a_flood_of_connections_keeps_no_scrape_out_and_few_descriptors";
    let Some(server) = ServerProcess::start(name, "true", || serve(MAX, 10)) else { return };
    let before = server.descriptors();
    let is_over = AtomicBool::new(false);
    // Pause the flood while the scraper connects, so that its request arrives before the server accepts the
    // connection, even on a slow machine.
    let pauses = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut held = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    if pauses.load(Ordering::SeqCst) {
                        thread::yield_now();
                        continue;
                    }
                    held.extend(TcpStream::connect(server.addr));
                    if held.len() == 200 {
                        held.clear();
                    }
                }
            });
        }
        let mut most = 0;
        let mut answers = Vec::new();
        for _ in 0..50 {
            pauses.store(true, Ordering::SeqCst);
            let scrape = send(server.addr, &head("GET /metrics", ""));
            pauses.store(false, Ordering::SeqCst);
            answers.push(Answer::read(scrape));
            most = most.max(server.descriptors());
        }
        is_over.store(true, Ordering::Relaxed);
        for answer in answers {
            assert_eq!(
                (answer.status(), answer.text().matches("flooded_total{").count()),
                (200, 10),
                "{}",
                answer.head
            );
        }
        // The server releases the descriptors of closed connections before it accepts more connections.
        assert!(most <= before + MAX + 16, "{most} descriptors, {before} before the flood");
    });
    server.end();
}

#[test]
fn scarce_file_descriptors_do_not_keep_scrapes_out() {
    let name = "scarce_file_descriptors_do_not_keep_scrapes_out";
    let Some(server) = ServerProcess::start(name, "ulimit -n 64", || serve(512, 10)) else { return };
    let silent: Vec<_> = (0..900).map(|_| connect(server.addr)).collect();
    for _ in 0..10 {
        assert_served(server.addr);
    }
    drop(silent);
    assert_served(server.addr);
    server.end();
}

#[test]
fn a_program_that_has_used_up_all_descriptors_is_scraped() {
    let name = "a_program_that_has_used_up_all_descriptors_is_scraped";
    let serve_without_descriptors = || {
        let server = serve(512, 10);
        // The runtime may open a file for its first connection.
        assert_served(server.local_addr());
        let mut used = Vec::new();
        let mut last = Instant::now();
        while last.elapsed() < Duration::from_millis(300) {
            match File::open("/dev/null") {
                Ok(file) => {
                    used.push(file);
                    last = Instant::now();
                }
                Err(_) => thread::yield_now(),
            }
        }
        std::mem::forget(used);
        server
    };
    let Some(server) = ServerProcess::start(name, "ulimit -n 64", serve_without_descriptors) else { return };
    assert!(server.descriptors() >= 64);
    for _ in 0..5 {
        assert_served(server.addr);
    }
    // A silent client that connected earlier does not block scrapers.
    let silent = connect(server.addr);
    for _ in 0..5 {
        assert_served(server.addr);
    }
    drop(silent);
    server.end();
}

#[test]
fn a_process_that_is_stopped_does_not_cut_its_scrapes_off() {
    const SERIES: u32 = 200_000;
    let name = "a_process_that_is_stopped_does_not_cut_its_scrapes_off";
    let serve_one_at_a_time = || {
        let registry = Registry::new();
        with_series(&registry, SERIES);
        let server = HttpServer::builder().registry(&registry).max_scrapes(1).max_connections(2);
        let server = server.start("127.0.0.1:0").expect("a free port");
        thread::spawn(|| {
            wait_until("two scrapes", || global("metrics_core_scrapes_in_flight") == 2.0);
            println!("two scrapes are in progress");
        });
        server
    };
    let Some(mut server) = ServerProcess::start(name, "true", serve_one_at_a_time) else { return };
    // Occupy the only scrape slot with a response larger than the socket buffers.
    let reading = send(server.addr, b"GET /metrics HTTP/1.0\r\n\r\n");
    wait_until("the response", || reading.peek(&mut [0; 12]).expect("readable") == 12);
    // Another scraper, with a timeout of one minute, waits for a slot.
    let header = b"GET /metrics HTTP/1.0\r\nX-Prometheus-Scrape-Timeout-Seconds: 60\r\n\r\n";
    let waiting = send(server.addr, header);
    server.reads("two scrapes");
    server.signal("-STOP", &['T']);
    // Sleep past the timeout that applies to clients that read nothing.
    thread::sleep(Duration::from_secs(9));
    server.signal("-CONT", &['R', 'S']);
    // The clients resume shortly after the server has checked its timeouts again.
    thread::sleep(Duration::from_millis(700));
    for client in [reading, waiting] {
        let answer = Answer::read(client);
        assert_eq!((answer.status(), answer.text().matches("flooded_total{").count()), (200, SERIES as usize));
    }
    assert_eq!(ask(server.addr, "GET /else", "").status(), 404);
    server.end();
}

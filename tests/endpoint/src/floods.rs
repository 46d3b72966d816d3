//! Floods of connections and requests that are no scrapes: each scrape is answered all the same.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use metrics_core::{Counter, HttpServer, Registry};

use crate::client::{ask, connect, send};

fn serve(max_connections: usize, series: u32) -> HttpServer {
    let registry = Registry::new();
    let family = Counter::builder("flooded_total", "").labels(["n"]).max_series(300_000).register_in(&registry);
    let family = family.expect("valid");
    for n in 0..series {
        family.labels([&format!("{n:020}")]).inc();
    }
    let server = HttpServer::builder().registry(&registry).max_connections(max_connections);
    server.start("127.0.0.1:0").expect("a free port")
}

fn assert_served(addr: SocketAddr) {
    let answer = ask(addr, "GET /metrics", "");
    assert_eq!((answer.status(), answer.text().matches("flooded_total{").count()), (200, 10), "{}", answer.head);
}

/// Sends a request on a connection that is kept, and reads the response.
fn ask_again(stream: &mut TcpStream, path: &str, end: &str) -> bool {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    if stream.write_all(request.as_bytes()).is_err() {
        return false;
    }
    let mut response = Vec::new();
    let mut some = [0; 4_096];
    while !response.ends_with(end.as_bytes()) {
        match stream.read(&mut some) {
            Ok(read @ 1..) => response.extend_from_slice(&some[..read]),
            _ => return false,
        }
    }
    true
}

#[test]
fn kept_connections_of_other_clients_make_room_and_those_of_scrapers_stay() {
    const NOT_FOUND: &str = "The metrics are under /metrics.\n";
    let addr = serve(64, 10).local_addr();
    let mut scraper = connect(addr);
    assert!(ask_again(&mut scraper, "/metrics", "0\r\n\r\n") || ask_again(&mut scraper, "/metrics", "} 1\n"));
    let mut small: Vec<_> = (0..63).map(|_| connect(addr)).collect();
    assert!(small.iter_mut().all(|client| ask_again(client, "/", NOT_FOUND)));
    for _ in 0..20 {
        // All places are taken, by connections that were active just now.
        assert_served(addr);
    }
    assert!(ask_again(&mut scraper, "/metrics", "} 1\n"), "the scraper's connection was closed");
    let alive = small.iter_mut().filter_map(|client| ask_again(client, "/", NOT_FOUND).then_some(())).count();
    assert!((1..63).contains(&alive), "{alive} of the others are left");
}

#[test]
fn a_flood_of_connections_does_not_keep_scrapes_out() {
    let server = serve(64, 10);
    let addr = server.local_addr();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut held = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    held.extend(TcpStream::connect(addr));
                    if held.len() == 200 {
                        held.clear();
                    }
                }
            });
        }
        let failed = (0..50).filter(|_| std::panic::catch_unwind(|| assert_served(addr)).is_err()).count();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(failed, 0);
    });
    server.shutdown();
}

#[test]
fn a_steady_slow_reader_gets_everything() {
    let addr = serve(64, 100_000).local_addr();
    let mut stream = send(addr, b"GET /metrics HTTP/1.0\r\n\r\n");
    let (mut total, mut some) = (0, [0; 4_096]);
    // 40 kB/s, for longer than a client may take nothing.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(18) {
        thread::sleep(Duration::from_millis(100));
        total += stream.read(&mut some).expect("a steady reader is not cut off");
    }
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("it is not cut off");
    assert!(rest.ends_with(b"\"} 1\n"), "after {total} and {} bytes", rest.len());
}

/// Set in the process whose file descriptors are scarce.
const IS_SCARCE: &str = "ENDPOINT_TESTS_SCARCE";

#[test]
#[cfg(target_os = "linux")]
fn scarce_file_descriptors_do_not_keep_scrapes_out() {
    if env::var_os(IS_SCARCE).is_some() {
        let server = serve(512, 10);
        println!("listens on {}", server.local_addr());
        // Until the test is over.
        std::io::stdin().read_to_string(&mut String::new()).expect("readable");
        return;
    }
    let mut child = Command::new("sh");
    let this = env::current_exe().expect("known");
    let name = "floods::scarce_file_descriptors_do_not_keep_scrapes_out";
    child.args(["-c", "ulimit -n 64; exec \"$0\" --exact \"$1\" --nocapture"]).arg(this).arg(name);
    let mut child = child.env(IS_SCARCE, "1").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map(|line| line.expect("UTF-8"));
    let addr = lines.find_map(|line| line.split("listens on ").nth(1)?.parse().ok());
    let addr: SocketAddr = addr.expect("it listens");
    let silent: Vec<_> = (0..900).map(|_| connect(addr)).collect();
    for _ in 0..10 {
        assert_served(addr);
    }
    drop(silent);
    assert_served(addr);
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}

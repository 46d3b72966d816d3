//! A service under attack: two endpoints, with and without TLS, and threads that call annotated functions.
//!
//! `storm-server CERTIFICATE KEY` prints its addresses. After the first line of its input, it stops its calls, prints
//! their number, and serves metrics until its input ends. The input also ends if the parent process is killed.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{env, thread};

use metrics_core::{Counter, HttpServer, Tls, instrument};

/// The number of series, in addition to those of the calls and of the library.
const SERIES: usize = 2_000;
const THREADS: u64 = 3;
/// The calls of each thread between two pauses.
const BATCH: u64 = 100;
const PAUSE: Duration = Duration::from_millis(5);
const PATHS: [&str; 4] = ["/orders", "/users", "/search", "/fail"];

/// Handles a call. Every fourth call fails.
#[instrument(path in PATHS, prefix = "storm")]
fn handle(path: &str) -> Result<(), ()> {
    if path == "/fail" { Err(()) } else { Ok(()) }
}

fn main() {
    let mut files = env::args().skip(1);
    let (certificate, key) = (files.next().expect("a certificate"), files.next().expect("a key"));
    let items = Counter::builder("storm_items_total", "Items.").labels(["item"]).register();
    for item in 0..SERIES {
        items.labels([&format!("{item:040}")]).inc();
    }
    let plain = HttpServer::builder().start("127.0.0.1:0").expect("a free port");
    let tls = Tls::from_pem_files(certificate, key).expect("valid");
    let tls = HttpServer::builder().tls(tls).start("127.0.0.1:0").expect("a free port");
    println!("{} {}", plain.local_addr(), tls.local_addr());
    let is_over = AtomicBool::new(false);
    let calls: u64 = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| call(&is_over))).collect();
        io::stdin().read_line(&mut String::new()).expect("readable");
        is_over.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    // If the parent has been killed, nothing reads the number.
    writeln!(io::stdout(), "{calls}").ok();
    io::stdin().read_to_string(&mut String::new()).expect("readable");
}

/// Calls the annotated function until `is_over`, and returns the number of calls.
fn call(is_over: &AtomicBool) -> u64 {
    let mut calls = 0;
    while !is_over.load(Ordering::Relaxed) {
        for path in PATHS.iter().cycle().take(BATCH as usize) {
            handle(path).ok();
        }
        calls += BATCH;
        thread::sleep(PAUSE);
    }
    calls
}

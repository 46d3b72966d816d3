//! A program that does not ignore `SIGPIPE`, such as one whose `main` function is not written in Rust, survives clients
//! and receivers that disconnect.

#![cfg(target_os = "linux")]
#![allow(unsafe_code, reason = "`signal` is unsafe")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::{env, thread};

use metrics_core::{Counter, GraphiteBridge, Pushgateway, start_http_server};

/// The environment variable that is set in the child process.
const IS_SERVER: &str = "SCARCITY_TESTS_SERVE";
const NAME: &str = "clients_and_receivers_that_disconnect_do_not_end_the_program";

#[test]
fn clients_and_receivers_that_disconnect_do_not_end_the_program() {
    if env::var_os(IS_SERVER).is_some() {
        return serve();
    }
    let mut server = Command::new(env::current_exe().expect("known"));
    server.args([NAME, "--exact", "--nocapture"]);
    let mut server = server.env(IS_SERVER, "1").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("started");
    let mut lines = BufReader::new(server.stdout.take().expect("piped")).lines().map(|line| line.expect("UTF-8"));
    let addr = lines.find_map(|line| Some(line.split("listens on ").nth(1)?.to_owned())).expect("it listens");
    for _ in 0..20 {
        let Ok(mut client) = TcpStream::connect(&addr) else { break };
        client.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
        // The response has begun, and does not fit into the socket buffers. Closing the connection resets it. If the
        // client has closed its sending side first, the server's next write fails with `EPIPE`, not `ECONNRESET`.
        if client.read_exact(&mut [0; 12]).is_err() {
            break;
        }
        client.shutdown(Shutdown::Write).expect("possible");
    }
    drop(server.stdin.take());
    let status = server.wait().expect("it ends");
    assert!(status.success(), "{status}");
}

fn serve() {
    // SAFETY: no handler runs, and this thread is the only one that changes the disposition.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let family = Counter::builder("long_total", "Long.").labels(["n"]).max_series(100_000).register();
    for n in 0..40_000_u32 {
        family.labels([&format!("{n:020}")]).inc();
    }
    for _ in 0..10 {
        let [graphite, http] = [(); 2].map(|()| disconnecting_receiver());
        GraphiteBridge::new(graphite).push().expect_err("the receiver disconnects");
        Pushgateway::new(format!("http://{http}"), "scarcity").push().expect_err("the receiver disconnects");
    }
    let server = start_http_server("127.0.0.1:0").expect("a free port");
    println!("listens on {}", server.local_addr());
    std::io::stdin().read_to_string(&mut String::new()).expect("readable");
    server.shutdown();
}

/// Starts a receiver that accepts a connection and closes it. Returns its address.
fn disconnecting_receiver() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        // After one byte, the sender has begun.
        listener.accept().expect("a connection").0.read_exact(&mut [0]).expect("a push");
    });
    address
}

//! The cost of calls while a background thread pushes.

use std::io::{self, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use metrics_core::{Counter, GraphiteBridge, Otlp, PushError, Pusher, Pushgateway, RemoteWrite, StatsD, TextFile};

use crate::labels::{path, paths};
use crate::measure::{Operation, count_for, median};
use crate::peers::Peer;
use crate::peers::ours::Ours;
use crate::report::{Report, figure};
use crate::threads::bind_to_core;

/// Number of pushed series, not counting those of the measured calls.
const SERIES: usize = 10_000;
/// The push interval, a tenth of the usual interval.
const INTERVAL: Duration = Duration::from_secs(1);
/// Number of threads that make calls. They occupy both cores and thus compete with the pushing thread.
const THREADS: usize = 2;
/// Rounds per pair of windows for each target. Each window lasts one interval, and only one window of a pair includes
/// pushes.
const ROUNDS_A_PAIR: usize = 6;

/// A target, with its two ways to push.
struct Target {
    name: &'static str,
    push: Box<dyn Fn() -> Result<(), PushError>>,
    start: Box<dyn Fn() -> io::Result<Pusher>>,
}

macro_rules! target {
    ($name:literal, $target:expr) => {{
        let (once, at_intervals) = ($target, $target);
        Target {
            name: $name,
            push: Box::new(move || once.push()),
            start: Box::new(move || at_intervals.start(INTERVAL)),
        }
    }};
}

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let family = Counter::builder("pushed_total", "Pushed.").labels(["path"]).max_series(SERIES);
    let family = family.register();
    (0..SERIES).for_each(|at| family.labels([&path(at)]).inc_by(at as u64));
    let (http, tcp, udp) = (http_sink()?, tcp_sink()?, udp_sink()?);
    let file = std::env::temp_dir().join(format!("metrics-compare-{}.prom", std::process::id()));
    let targets = [
        target!("Graphite", GraphiteBridge::new(tcp.as_str())),
        target!("StatsD", StatsD::new(udp.as_str())),
        target!("remote write", RemoteWrite::new(&http)),
        target!("OTLP", Otlp::new(&http)),
        target!("Pushgateway", Pushgateway::new(&http, "compare")),
        target!("text file", TextFile::new(&file)),
    ];
    let calls = Ours.call(paths(10), false);
    let (mut all, mut rows) = (Vec::new(), Vec::new());
    for target in &targets {
        let start = Instant::now();
        (target.push)()?;
        let push = start.elapsed();
        let ratios = ratios(target, &calls, rounds.div_ceil(ROUNDS_A_PAIR))?;
        let ratio = median(ratios.clone());
        report.fact(format!("push_{}", target.name.to_lowercase().replace(' ', "_")), ratio);
        rows.push(vec![target.name.to_owned(), figure(push.as_secs_f64() * 1e3), format!("{ratio:.4}")]);
        all.extend(ratios);
    }
    std::fs::remove_file(file)?;
    report.judge("push", median(all));
    report.table(
        "Calls by path on both cores while 10k series are pushed every second",
        &["target", "first push, ms", "time of calls over that without pushes"],
        &rows,
    );
    Ok(())
}

/// Returns the time of calls with pushes, relative to that without pushes, for each pair of windows.
fn ratios(target: &Target, calls: &Operation, pairs: usize) -> Result<Vec<f64>> {
    let with = || -> Result<f64> {
        let pusher = (target.start)()?;
        let rate = rate(calls);
        pusher.shutdown()?;
        Ok(rate)
    };
    let mut ratios = Vec::new();
    for pair in 0..pairs {
        // Alternate the order.
        let (with, without) = if pair % 2 == 0 {
            let with = with()?;
            (with, rate(calls))
        } else {
            let without = rate(calls);
            (with()?, without)
        };
        ratios.push(without / with);
    }
    Ok(ratios)
}

/// Starts a server that discards everything it receives, and returns its address.
fn tcp_sink() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            io::copy(&mut connection, &mut io::sink()).ok();
        }
    });
    Ok(address)
}

fn udp_sink() -> Result<String> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let address = socket.local_addr()?.to_string();
    thread::spawn(move || {
        let mut datagram = [0; 65_536];
        while socket.recv(&mut datagram).is_ok() {}
    });
    Ok(address)
}

/// Starts a server that responds with status 200 to each request, and returns its URL.
fn http_sink() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            // Clients keep connections open for a while.
            thread::spawn(move || {
                let mut bytes = Vec::new();
                while let Some(len) = request_len(&mut connection, &mut bytes) {
                    bytes.drain(..len);
                    connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok();
                }
            });
        }
    });
    Ok(url)
}

/// Reads a request, and returns its length. Returns `None` at the end of the connection.
fn request_len(connection: &mut impl Read, bytes: &mut Vec<u8>) -> Option<usize> {
    let mut more = [0; 65_536];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            let len = end + 4 + length.unwrap_or(0_usize);
            if bytes.len() >= len {
                return Some(len);
            }
        }
        match connection.read(&mut more).ok()? {
            0 => return None,
            len => bytes.extend_from_slice(&more[..len]),
        }
    }
}

/// Returns the total calls per second across all threads, measured over one interval.
fn rate(calls: &Operation) -> f64 {
    let batch = count_for(calls, Duration::from_micros(100));
    thread::scope(|scope| {
        let count = |worker: usize| {
            bind_to_core(worker);
            let (start, mut count) = (Instant::now(), 0);
            while start.elapsed() < INTERVAL {
                calls(count..count + batch);
                count += batch;
            }
            count as f64 / start.elapsed().as_secs_f64()
        };
        let workers: Vec<_> = (0..THREADS).map(|worker| scope.spawn(move || count(worker))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or(f64::NAN)).sum()
    })
}

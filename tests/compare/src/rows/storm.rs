//! The cost of calls while hostile clients attack the endpoint.
//!
//! The attackers are a separate process with a low priority, but they and the server use the same cores as the calls.
//! The row therefore compares medians over short slices of calls: a slice that is interrupted does not change them. The
//! number of calls during the attack, relative to that without an attack, is reported but not judged.

use std::env;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use metrics_core::{Counter, HttpServer};

use crate::child::{self, Task};
use crate::labels::{path, paths};
use crate::measure::{Operation, count_for, median};
use crate::peers::Peer;
use crate::peers::ours::Ours;
use crate::report::{Report, figure};
use crate::threads::bind_to_core;

/// Number of series of the attacked endpoint, not counting those of the measured calls.
const SERIES: usize = 2_000;
/// The measured time with and without attackers in each pair.
const WINDOW: Duration = Duration::from_secs(1);
/// Running time of one slice of calls.
const SLICE: Duration = Duration::from_micros(100);
/// Rounds per pair of windows.
const ROUNDS_A_PAIR: usize = 2;
/// New connections per second, the limit in `SECURITY.md`.
const RATE: u32 = 10_000;
/// Small requests per scrape on persistent connections.
const REQUESTS_A_SCRAPE: usize = 50;
const PERSISTENT: usize = 100;

/// Calls in one window.
struct Window {
    /// The median over the slices, in nanoseconds per call.
    nanoseconds: f64,
    calls: f64,
}

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let family = Counter::builder("stormed_total", "Attacked.").labels(["path"]).max_series(SERIES).register();
    (0..SERIES).for_each(|at| family.labels([&path(at)]).inc());
    let server = HttpServer::builder().start("127.0.0.1:0")?;
    let calls = Ours.call(paths(10), false);
    let (mut times, mut shares, mut requests) = (Vec::new(), Vec::new(), Vec::new());
    let mut attacked = || -> Result<Window> {
        let attackers = Attackers::start(server.local_addr())?;
        let window = window(&calls)?;
        requests.push(attackers.finish()? / WINDOW.as_secs_f64());
        Ok(window)
    };
    for pair in 0..rounds.div_ceil(ROUNDS_A_PAIR) {
        // Alternate the order.
        let (with, without) = if pair % 2 == 0 {
            let with = attacked()?;
            (with, window(&calls)?)
        } else {
            let without = window(&calls)?;
            (attacked()?, without)
        };
        times.push(with.nanoseconds / without.nanoseconds);
        shares.push(with.calls / without.calls);
    }
    server.shutdown();
    let (time, share, requests) = (median(times), median(shares), median(requests));
    report.judge("storm", time);
    report.fact("storm_share_of_calls", share);
    report.fact("storm_requests_per_second", requests);
    let row = vec!["by path".to_owned(), format!("{time:.4}"), format!("{share:.4}"), figure(requests)];
    let columns = ["calls", "time over that without", "calls made over those without", "connections and requests, 1/s"];
    report.table("Calls by path on one core while clients attack the endpoint", &columns, &[row]);
    Ok(())
}

/// Makes calls on one core, and returns their median time.
fn window(calls: &Operation) -> Result<Window> {
    let measured = thread::scope(|scope| scope.spawn(|| measure(calls)).join());
    measured.ok().context("the calls panicked")
}

fn measure(calls: &Operation) -> Window {
    // Only for this thread: attackers that were started from it would share its core.
    bind_to_core(0);
    let batch = count_for(calls, SLICE);
    let (start, mut count, mut slices) = (Instant::now(), 0, Vec::new());
    while start.elapsed() < WINDOW {
        let slice = Instant::now();
        calls(count..count + batch);
        count += batch;
        slices.push(slice.elapsed().as_secs_f64() * 1e9 / batch as f64);
    }
    Window { nanoseconds: median(slices), calls: count as f64 / start.elapsed().as_secs_f64() }
}

/// Attackers in a child process with a low priority.
struct Attackers(Child);

impl Attackers {
    /// Starts the attackers, and waits until they attack.
    fn start(addr: SocketAddr) -> Result<Self> {
        let task = Task::Storm { addr, seconds: WINDOW.as_secs() as usize };
        let mut command = Command::new("nice");
        command
            .args(["-n", "10"])
            .arg(env::current_exe()?)
            .args([&format!("--{}", child::OPTION), &task.to_argument()]);
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        // The first byte of the output is a space.
        child.stdout.as_mut().context("no output")?.read_exact(&mut [0])?;
        Ok(Self(child))
    }

    /// Waits for the attackers, and returns the number of their connections and requests.
    fn finish(self) -> Result<f64> {
        let output = self.0.wait_with_output()?;
        ensure!(output.status.success(), "the attackers failed");
        child::figures(&String::from_utf8(output.stdout)?)?.first().copied().context("no figure")
    }
}

/// Attacks a server, and returns the number of connections and requests.
pub(crate) fn attack(addr: SocketAddr, seconds: usize) -> Result<f64> {
    let until = Instant::now() + Duration::from_secs(seconds as u64);
    print!(" ");
    std::io::stdout().flush()?;
    let (floods, requests) = thread::scope(|scope| {
        let flooding: Vec<_> = (0..2).map(|_| scope.spawn(|| flood(addr, until, RATE / 2))).collect();
        let asking = scope.spawn(|| small_requests(addr, until));
        let floods: usize = flooding.into_iter().map(|thread| thread.join().unwrap_or_default()).sum();
        (floods, asking.join().unwrap_or_default())
    });
    ensure!(floods > 0 && requests > 0, "{floods} connections, {requests} requests");
    Ok((floods + requests) as f64)
}

/// Opens connections, which alternately send nothing and a part of a request, and closes them at once.
fn flood(addr: SocketAddr, until: Instant, rate: u32) -> usize {
    let start = Instant::now();
    for count in 0.. {
        thread::sleep((start + Duration::from_secs(1) * count / rate).saturating_duration_since(Instant::now()));
        if Instant::now() >= until {
            return count as usize;
        }
        if let Ok(mut stream) = TcpStream::connect(addr)
            && count % 2 == 0
        {
            stream.write_all(b"GET /metrics HTTP/1.1\r\nX-Cut-").ok();
        }
    }
    0
}

/// Sends small requests and some scrapes over persistent connections.
fn small_requests(addr: SocketAddr, until: Instant) -> usize {
    let mut streams: Vec<_> = (0..PERSISTENT).filter_map(|_| TcpStream::connect(addr).ok()).collect();
    let (mut count, mut some) = (0, vec![0; 1 << 20]);
    while Instant::now() < until {
        for stream in &mut streams {
            let path = if count % REQUESTS_A_SCRAPE == 0 { "metrics" } else { "missing" };
            let request = format!("GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            // The rest of a scrape's response is read with that of the next request.
            let is_open =
                stream.write_all(request.as_bytes()).is_ok() && stream.read(&mut some).is_ok_and(|read| read > 0);
            if !is_open && let Ok(new) = TcpStream::connect(addr) {
                *stream = new;
            }
            count += 1;
        }
    }
    count
}

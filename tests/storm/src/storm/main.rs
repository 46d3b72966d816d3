//! Attacks a server while well-behaved scrapers send a request every second. Each scrape must complete within a second.
//!
//! The server, the attackers and the scrapers run in three processes. The attackers run at the lowest priority, and
//! open at most 10,000 connections per second, the limit in `SECURITY.md`. Otherwise, a slow response could mean that
//! the attackers used up the processors. A storm in which a scrape is late is repeated once. An error or an incomplete
//! response is a fault immediately.
//!
//! `storm [--seconds N] [--rate CONNECTIONS-PER-SECOND] [STORM..]`: a rate of 0 is unlimited. `all-slots` exceeds the
//! documented limits and runs only if it is named. Its figures, and those of rates above 10,000, are not judged.

mod certificate;
mod scraper;
mod server;

use std::env;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use scraper::{Scraper, Scrapes};
use server::{Server, Usage};

const STORMS: [&str; 12] = [
    "connections",
    "slow-readers",
    "slow-writers",
    "header-bombs",
    "pipelining",
    "upgrades",
    "tls",
    "split",
    "small",
    "floods",
    "half-closed",
    "all",
];
/// The limit on new connections per second up to which scrapes are served.
const RATE: u32 = 10_000;
/// The memory, in MiB, by which the two servers may grow: for each of 544 connections, a request head of 64 KiB and
/// its copy.
const MOST_MEMORY: f64 = 136.0;
/// The descriptors that the two servers may add: 512 connections, 32 refusals and a few that collectors open, for each.
const MOST_DESCRIPTORS: usize = 2 * (512 + 32 + 8);

struct Options {
    seconds: u64,
    rate: u32,
    storms: Vec<String>,
}

fn main() -> ExitCode {
    let options = options().expect("valid options");
    let server = Server::start();
    let mut scrapers = Scraper::all(&server);
    // The first scrapes take longer, and allocate memory that remains in use.
    for scraper in &mut scrapers {
        scraper.scrape().expect("an idle server responds");
    }
    let idle = server.usage();
    println!("idle: {:.1} MiB, {} descriptors", idle.memory, idle.descriptors);
    println!("storm         connections  requests responses | scrapes in time slowest | memory descriptors reconnects");
    let mut faults = 0;
    for storm in &options.storms {
        let outcome = run(storm, &options, &server, &mut scrapers, idle);
        faults += outcome.broken;
        // Other load on a shared machine can delay a scrape. If the attack delays scrapes, it does so again.
        if outcome.late > 0 {
            let again = run(storm, &options, &server, &mut scrapers, idle);
            faults += again.broken + usize::from(again.late > 0);
        }
    }
    let counted = |text: &str| -> u64 {
        let counts = text.lines().filter(|line| line.starts_with("storm_request_latency_seconds_count{"));
        counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    };
    let (calls, after) = (server.stop_calls(), server.usage());
    let text = scrapers[0].scrape().expect("the server still responds").text;
    println!("after: {:.1} MiB, {} descriptors; {calls} calls", after.memory, after.descriptors);
    assert_eq!(counted(&text), calls, "calls are lost:\n{text}");
    println!("{faults} faults");
    if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn options() -> Result<Options, lexopt::Error> {
    use lexopt::prelude::{Long, Value, ValueExt};

    let mut options = Options { seconds: 4, rate: RATE, storms: Vec::new() };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seconds") => options.seconds = parser.value()?.parse()?,
            Long("rate") => options.rate = parser.value()?.parse()?,
            Value(storm) => options.storms.push(storm.string()?),
            Long(_) | lexopt::Arg::Short(_) => return Err(argument.unexpected()),
        }
    }
    if options.storms.is_empty() {
        options.storms = STORMS.map(str::to_owned).to_vec();
    }
    Ok(options)
}

/// The outcome of a storm. Both counts are 0 if the storm is not judged.
#[derive(Default)]
struct Outcome {
    /// The number of scrapes whose complete response took longer than a second.
    late: u64,
    /// The number of other broken promises.
    broken: usize,
}

/// Runs a storm and prints its figures.
fn run(storm: &str, options: &Options, server: &Server, scrapers: &mut [Scraper], idle: Usage) -> Outcome {
    let (is_over, process) = (AtomicBool::new(false), server.process());
    let figures = thread::scope(|scope| {
        let until = Instant::now() + Duration::from_secs(options.seconds);
        let watching = scope.spawn(|| process.most_used(&is_over));
        let scraping: Vec<_> =
            scrapers.iter_mut().map(|scraper| scope.spawn(move || scraper.scrape_until(until))).collect();
        let tally = attack(storm, options, server);
        let scrapes: Scrapes = scraping.into_iter().map(|scraper| scraper.join().expect("no panic")).sum();
        is_over.store(true, Ordering::Relaxed);
        (tally, scrapes, watching.join().expect("no panic"))
    });
    let ([connections, requests, answers, unanswered], scrapes, most) = figures;
    let (memory, descriptors) = (most.memory - idle.memory, most.descriptors.saturating_sub(idle.descriptors));
    let Scrapes { asked, in_time, failed, slowest, reconnects, failures } = scrapes;
    println!(
        "{storm:13} {connections:11} {requests:9} {answers:9} | {asked:7} {in_time:7} {:4} ms | {memory:4.1} M \
         {descriptors:11} {reconnects:10}",
        slowest.as_millis(),
    );
    failures.iter().for_each(|failure| println!("    {failure}"));
    if options.rate == 0 || options.rate > RATE || !STORMS.contains(&storm) {
        return Outcome::default();
    }
    let promises = [
        (asked > 0, "no scrape was sent"),
        (failed == 0, "a scrape failed"),
        (connections > 0, "the attackers did not connect"),
        (memory <= MOST_MEMORY, "memory grew beyond the limit"),
        (descriptors <= MOST_DESCRIPTORS, "too many descriptors"),
        // In a flood, the server closes connections that send their requests late.
        (unanswered == 0 || storm != "split", "a split request was not answered"),
    ];
    let broken = promises.iter().filter(|(holds, _)| !holds).inspect(|(_, what)| println!("    FAILED: {what}"));
    Outcome { late: asked - in_time - failed, broken: broken.count() }
}

/// Attacks the server from another process, and returns the tally: connections, requests, responses, and split requests
/// without a response.
fn attack(storm: &str, options: &Options, server: &Server) -> [u64; 4] {
    // The attackers hold as many connections as the system allows.
    let script = "ulimit -n \"$(ulimit -Hn)\"; exec nice -n 19 \"$0\" \"$@\"";
    let mut attacker = Command::new("sh");
    attacker.args(["-c", script, env!("CARGO_BIN_EXE_storm-attacker"), storm]);
    attacker.args([server.plain, server.tls].map(|addr| addr.to_string()));
    attacker.args([options.seconds.to_string(), options.rate.to_string()]);
    let output = attacker.output().expect("a shell");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{storm}: {text}{}", String::from_utf8_lossy(&output.stderr));
    let tally: Vec<u64> = text.split_whitespace().map(|count| count.parse().expect("a number")).collect();
    tally.try_into().expect("four numbers")
}

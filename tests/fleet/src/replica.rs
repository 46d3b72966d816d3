//! One replica of a service. It makes the calls that it reads from standard input, one number per line, and confirms
//! each line. At the end of the input, it shuts down gracefully.
//!
//! `replica NUMBER INSTANCE [--remote-write URL] [--otlp URL] [--interval MILLISECONDS]`

mod work;

use std::error::Error;
use std::io;
use std::panic::catch_unwind;
use std::time::Duration;

use lazy_static::lazy_static;
use metrics_core::{Histogram, Otlp, Pusher, RemoteWrite, instrument, start_http_server};

lazy_static! {
    static ref WORK: Histogram = Histogram::builder("fleet_work_seconds", "Simulated durations.").native().register();
}

/// The paths of the router.
const PATHS: [&str; 4] = ["/orders", "/users", "/search", "/fail"];

/// Routes a call. Every fourth call fails, and every 16th one panics.
#[instrument(path in PATHS)]
fn route_request(path: &str, call: u64) -> Result<(), &'static str> {
    match call % 16 {
        15 => panic!("a bug in a handler"),
        number if number % 4 == 3 => Err("the call fails"),
        _ => Ok(()),
    }
}

struct Options {
    number: u64,
    instance: String,
    remote_write: Option<String>,
    otlp: Option<String>,
    interval: Duration,
}

fn options() -> Result<Options, lexopt::Error> {
    use lexopt::prelude::{Long, Value, ValueExt};

    let mut positional = Vec::new();
    let (mut remote_write, mut otlp, mut interval) = (None, None, Duration::from_secs(1));
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("remote-write") => remote_write = Some(parser.value()?.string()?),
            Long("otlp") => otlp = Some(parser.value()?.string()?),
            Long("interval") => interval = Duration::from_millis(parser.value()?.parse()?),
            Value(value) => positional.push(value.string()?),
            Long(_) | lexopt::Arg::Short(_) => return Err(argument.unexpected()),
        }
    }
    let [number, instance] =
        <[String; 2]>::try_from(positional).map_err(|_| "a number and an instance are required")?;
    let number = number.parse().map_err(|error| lexopt::Error::Custom(Box::new(error)))?;
    Ok(Options { number, instance, remote_write, otlp, interval })
}

fn start_pushers(options: &Options) -> io::Result<Vec<Pusher>> {
    let mut pushers = Vec::new();
    if let Some(url) = &options.remote_write {
        let target = RemoteWrite::new(url).label("job", "fleet").label("instance", &options.instance);
        pushers.push(target.start(options.interval)?);
    }
    if let Some(url) = &options.otlp {
        let target = Otlp::with_url(url).resource("service.name", "fleet");
        pushers.push(target.resource("service.instance.id", &options.instance).start(options.interval)?);
    }
    Ok(pushers)
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let server = start_http_server("127.0.0.1:0")?;
    let pushers = start_pushers(&options)?;
    println!("{}", server.local_addr());
    let mut next = 0;
    for line in io::stdin().lines() {
        let calls: u64 = line?.trim().parse()?;
        for call in next..next + calls {
            WORK.observe(work::seconds(options.number, call));
            // A panic is counted as an exception.
            catch_unwind(|| route_request(PATHS[(call % 4) as usize], call).ok()).ok();
        }
        next += calls;
        println!("{next}");
    }
    // Each pusher pushes once more, even if another one fails.
    let results: Vec<_> = pushers.into_iter().map(Pusher::shutdown).collect();
    results.into_iter().try_for_each(|result| Ok(result?))
}

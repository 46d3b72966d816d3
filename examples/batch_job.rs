//! A batch job that pushes its metrics to a Pushgateway when it ends, even if it fails or panics.
//!
//! `cargo run --release --package metrics-examples --example batch_job -- http://localhost:9091`
//!
//! The job adds up the numbers in standard input, one per line.

use std::error::Error;
use std::io;
use std::num::ParseIntError;
use std::time::{SystemTime, UNIX_EPOCH};

use lazy_static::lazy_static;
use metrics_core::{Counter, Gauge, Pushgateway, instrument};

lazy_static! {
    static ref SUM: Counter = Counter::builder("batch_job_sum_total", "The sum of all numbers.").register();
    static ref LAST_SUCCESS: Gauge =
        Gauge::builder("batch_job_last_success_timestamp_seconds", "Unix time of the last successful run.").register();
}

/// Adds the number in a line.
#[instrument]
fn import(line: &str) -> Result<(), ParseIntError> {
    SUM.inc_by(line.trim().parse::<u64>()?);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let url = std::env::args().nth(1).ok_or("usage: batch_job URL")?;
    // The guard pushes when it is dropped: after an early return, and also after a panic.
    let guard = Pushgateway::new(url, "batch_job").grouping("queue", "numbers").push_at_end()?;
    for line in io::stdin().lines() {
        import(&line?)?;
    }
    LAST_SUCCESS.set(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64());
    // Optional: push now, to handle the error.
    guard.push()?;
    Ok(())
}

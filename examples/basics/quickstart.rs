//! The shortest program: one annotated function and one line that exposes its metrics.
//!
//! `cargo run --release --example quickstart -- 127.0.0.1:9464`

use std::io::{self, BufRead};

use metrics_core::{instrument, start_http_server};

/// Parses a number. Returns an error if the line contains anything else.
#[instrument]
fn parse(line: &str) -> Result<i64, std::num::ParseIntError> {
    line.trim().parse()
}

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9464".to_owned());
    let server = start_http_server(addr.as_str())?;
    println!("Enter numbers or other text. Metrics are served at http://{}/metrics", server.local_addr());
    for line in io::stdin().lock().lines() {
        match parse(&line?) {
            Ok(number) => println!("{number}"),
            Err(error) => println!("{error}"),
        }
    }
    Ok(())
}

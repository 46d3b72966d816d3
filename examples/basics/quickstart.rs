//! The shortest way: one annotated function, one line that exposes it.
//!
//! `cargo run --release --example quickstart -- 127.0.0.1:9464`

use std::io::{self, BufRead};

use metrics_core::{instrument, start_http_server};

/// Parses a number: a function that can fail.
#[instrument]
fn parse(line: &str) -> Result<i64, std::num::ParseIntError> {
    line.trim().parse()
}

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9464".to_owned());
    let server = start_http_server(addr.as_str())?;
    println!("Write numbers, or something else, and look at http://{}/metrics", server.local_addr());
    for line in io::stdin().lock().lines() {
        match parse(&line?) {
            Ok(number) => println!("{number}"),
            Err(error) => println!("{error}"),
        }
    }
    Ok(())
}

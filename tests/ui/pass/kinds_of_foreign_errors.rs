#![deny(warnings)]
//! The closures that the compiler message suggests for error types that do not implement `LabelValue`.

use std::error::Error;
use std::io;

use metrics_core::{Registry, instrument};

#[instrument("/io", kind = |error| error.kind().to_string(), prefix = "foreign")]
fn of_io() -> io::Result<u32> {
    Err(io::ErrorKind::NotFound.into())
}

#[instrument("/boxed", kind = |error| if error.is::<io::Error>() { "io" } else { "other" }, prefix = "foreign")]
fn boxed() -> Result<u32, Box<dyn Error>> {
    Ok(of_io()?)
}

#[instrument("/sent", kind = |error| if error.is::<io::Error>() { "io" } else { "other" }, prefix = "foreign")]
async fn sent() -> Result<u32, Box<dyn Error + Send + Sync>> {
    Ok(of_io()?)
}

fn main() {
    boxed().unwrap_err();
    drop(sent());
    let text = Registry::global().to_text();
    assert!(text.contains("foreign_request_exceptions_total{path=\"/io\",kind=\"entity not found\"} 1\n"), "{text}");
    assert!(text.contains("foreign_request_exceptions_total{path=\"/boxed\",kind=\"io\"} 1\n"), "{text}");
}

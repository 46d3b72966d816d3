use std::io;

use metrics_core::instrument;

#[instrument("/x", kind)]
fn of_io() -> io::Result<u32> {
    Err(io::ErrorKind::NotFound.into())
}

#[instrument("/x", kind)]
fn boxed() -> Result<u32, Box<dyn std::error::Error>> {
    Err("broken".into())
}

#[instrument("/x", kind = |error| error.kind())]
fn kind() -> io::Result<u32> {
    Err(io::ErrorKind::NotFound.into())
}

fn main() {
    let _ = (of_io(), boxed(), kind());
}

//! A caller that shadows the names that generated code might refer to.

#![no_implicit_prelude]
#![allow(dead_code)]

mod core {}
mod std {}
mod metrics_core {}
struct Result;
struct Ok;
struct Some;

#[::metrics_core::instrument(site, call)]
fn shadowed(site: &str, call: &str) -> Result {
    let _ = (site, call);
    Result
}

#[::metrics_core::instrument("/foo")]
async fn shadowed_async(output: u8) -> ::core::result::Result<Result, u8> {
    if output == 0 {
        return ::core::result::Result::Err(output);
    }
    ::core::result::Result::Ok(Result)
}

fn main() {
    shadowed("", "");
    ::std::mem::drop(shadowed_async(1));
}

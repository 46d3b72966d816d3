//! `#[autometrics]` on top of the `prometheus` crate. Labels identify only the function; no others are supported.

use super::Peer;
use crate::handler::{Failed, Request, respond};
use crate::labels::Labels;
use crate::measure::{Operation, operation};

pub(crate) struct Autometrics;

impl Peer for Autometrics {
    fn name(&self) -> &'static str {
        "autometrics"
    }

    fn call(&self, labels: Labels<1>, fails: bool) -> Operation {
        operation(move |number| {
            let [path] = labels.pick(number);
            handle(path, Request::new(number, fails))
        })
    }
}

#[inline(never)]
#[autometrics::autometrics]
fn handle(path: &str, request: Request) -> Result<u64, Failed> {
    respond(path, request)
}

//! The calls without any measuring, as a reference.

use crate::handler::{Failed, Request, respond};
use crate::labels::Labels;
use crate::measure::{Operation, operation};

pub(crate) fn call(labels: Labels<1>, fails: bool) -> Operation {
    operation(move |number| {
        let [path] = labels.pick(number);
        handle(path, Request::new(number, fails))
    })
}

pub(crate) fn call_literal(fails: bool) -> Operation {
    operation(move |number| handle_literal(Request::new(number, fails)))
}

#[inline(never)]
fn handle(path: &str, request: Request) -> Result<u64, Failed> {
    respond(path, request)
}

#[inline(never)]
fn handle_literal(request: Request) -> Result<u64, Failed> {
    respond("/foo", request)
}

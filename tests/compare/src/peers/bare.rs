//! Uninstrumented calls, as a baseline.

use crate::handler::{Failed, Request, Suspended, respond, wait_once};
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

/// Returns a call that is pending on its first poll.
pub(crate) fn suspended(request: Request) -> Suspended {
    Box::pin(async move {
        wait_once().await;
        respond("/foo", request)
    })
}

#[inline(never)]
fn handle(path: &str, request: Request) -> Result<u64, Failed> {
    respond(path, request)
}

#[inline(never)]
fn handle_literal(request: Request) -> Result<u64, Failed> {
    respond("/foo", request)
}

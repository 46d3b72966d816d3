//! The shared body of all instrumented functions: a few nanoseconds of real work.

use std::future::poll_fn;
use std::hint::black_box;
use std::pin::Pin;
use std::task::Poll;

/// The number of iterations, which take about 5 ns in total.
const ROUNDS: u32 = 12;

/// A request to a handler.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    number: u64,
    fails: bool,
}

/// The error returned by a handler.
#[derive(Debug)]
pub(crate) struct Failed(#[expect(dead_code, reason = "failed requests must do the same work")] u64);

/// A call that has not finished yet.
pub(crate) type Suspended = Pin<Box<dyn Future<Output = Result<u64, Failed>> + Send>>;

impl Request {
    pub(crate) fn new(number: u64, fails: bool) -> Self {
        Self { number, fails: black_box(fails) }
    }
}

/// Handles a request. Every instrumented handler has this body.
#[inline(always)]
pub(crate) fn respond(path: &str, request: Request) -> Result<u64, Failed> {
    let mut answer = request.number ^ path.len() as u64;
    for _ in 0..ROUNDS {
        answer = (answer ^ (answer >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    }
    if request.fails { Err(Failed(answer)) } else { Ok(answer) }
}

/// Returns a future that is pending on its first poll and ready on its second.
pub(crate) fn wait_once() -> impl Future<Output = ()> + Send {
    let mut polled = Poll::Pending;
    poll_fn(move |_| std::mem::replace(&mut polled, Poll::Ready(())))
}

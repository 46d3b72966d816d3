//! What all instrumented functions do: a few nanoseconds of real work, the same for all.

use std::future::poll_fn;
use std::hint::black_box;
use std::pin::Pin;
use std::task::Poll;

/// Makes the work take about 5 ns.
const ROUNDS: u32 = 12;

/// A request that a handler answers.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    number: u64,
    fails: bool,
}

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Failed(#[expect(dead_code, reason = "the work must be done for it too")] u64);

/// A call that has not ended yet.
pub(crate) type Suspended = Pin<Box<dyn Future<Output = Result<u64, Failed>> + Send>>;

impl Request {
    pub(crate) fn new(number: u64, fails: bool) -> Self {
        Self { number, fails: black_box(fails) }
    }
}

/// Answers; where a handler is instrumented, this is its body.
#[inline(always)]
pub(crate) fn respond(path: &str, request: Request) -> Result<u64, Failed> {
    let mut answer = request.number ^ path.len() as u64;
    for _ in 0..ROUNDS {
        answer = (answer ^ (answer >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    }
    if request.fails { Err(Failed(answer)) } else { Ok(answer) }
}

/// Is pending when it is polled for the first time.
pub(crate) fn wait_once() -> impl Future<Output = ()> + Send {
    let mut polled = Poll::Pending;
    poll_fn(move |_| std::mem::replace(&mut polled, Poll::Ready(())))
}

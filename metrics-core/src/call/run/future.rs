//! Calls to functions that return a future. A call begins at the first poll and ends when the future completes.
//!
//! A function that is not `async` returns a future if its return type is a future, or if its last expression is
//! `Box::pin(async move { .. })`. Creating the future is not part of the call. [`Measured`] stores the future directly,
//! without a second state machine, and drops it before the call ends, as an `async fn` does. If creating the future
//! panics, the call is recorded as having panicked.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::lifecycle::{PendingCall, RunningCall};

/// Measures a future.
#[inline]
pub fn measure<F, P, R, E>(call: P, future: F, ending: R) -> Measured<F, P, R, E>
where
    F: Future,
    P: PendingCall<Call: RunningCall<E>>,
    R: FnOnce(&F::Output) -> E,
{
    Measured { future, state: FutureState::Unpolled { call, ending }, known: PhantomData }
}

/// Creates a future and measures it. A panic during creation ends the call.
#[inline]
pub fn create<F, P, R, E>(call: P, make: impl FnOnce() -> F, ending: R) -> Measured<F, P, R, E>
where
    F: Future,
    P: PendingCall<Call: RunningCall<E>>,
    R: FnOnce(&F::Output) -> E,
{
    let creating = Creating(Some(call));
    let future = make();
    Measured { future, state: creating.created(ending), known: PhantomData }
}

/// A call whose future is being created. Dropping it before [`Creating::created`] records a panic.
struct Creating<P: PendingCall>(Option<P>);

impl<P: PendingCall> Creating<P> {
    #[inline]
    fn created<R>(mut self, ending: R) -> FutureState<P, R> {
        self.0.take().map_or(FutureState::Ended, |call| FutureState::Unpolled { call, ending })
    }
}

impl<P: PendingCall> Drop for Creating<P> {
    #[inline]
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            drop(call.begin());
        }
    }
}

enum FutureState<P: PendingCall, R> {
    Unpolled { call: P, ending: R },
    Running { call: P::Call, ending: R },
    Ended,
}

pin_project! {
    /// A future that is measured as a call.
    #[must_use = "futures do nothing unless polled"]
    pub struct Measured<F, P: PendingCall, R, E> {
        // Declared before the call, so that the future is dropped before the call ends, as in an `async fn`.
        #[pin]
        future: F,
        state: FutureState<P, R>,
        known: PhantomData<fn() -> E>,
    }
}

impl<F, P, R, E> Future for Measured<F, P, R, E>
where
    F: Future,
    P: PendingCall<Call: RunningCall<E>>,
    R: FnOnce(&F::Output) -> E,
{
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        // Move the call out of the state while the future runs, so that a panic ends the call immediately.
        let (call, ending) = match mem::replace(this.state, FutureState::Ended) {
            FutureState::Unpolled { call, ending } => (call.begin(), ending),
            FutureState::Running { call, ending } => (call, ending),
            FutureState::Ended => return this.future.poll(cx),
        };
        call.progress().set_running(true);
        let polled = this.future.poll(cx);
        match &polled {
            Poll::Ready(output) => {
                let ending = ending(output);
                call.finish(ending);
            }
            Poll::Pending => {
                call.progress().set_running(false);
                *this.state = FutureState::Running { call, ending };
            }
        }
        polled
    }
}

impl<F, P: PendingCall, R, E> fmt::Debug for Measured<F, P, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measured").finish_non_exhaustive()
    }
}

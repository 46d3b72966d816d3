//! The stages of a call: pending, running, and ended in one of three ways.

use std::sync::atomic::{AtomicU8, Ordering};

/// A call that has not begun.
pub trait PendingCall: Sized {
    /// The type of the running call.
    type Call;

    /// Begins the call.
    fn begin(self) -> Self::Call;
}

/// A running call, which ends with an `E` when it returns. Dropping it earlier records a panic or a cancellation.
pub trait RunningCall<E> {
    /// Returns the progress of the call.
    fn progress(&self) -> &Progress;

    /// Ends a call that has returned.
    fn finish(&self, ending: E);
}

/// The progress of a call.
#[derive(Debug)]
pub struct Progress(AtomicU8);

impl Progress {
    /// Between two polls of the future: a call that is dropped now is canceled.
    const WAITING: u8 = 0;
    /// The body is running: a call that is dropped now is unwinding.
    const RUNNING: u8 = 1;
    const RECORDED: u8 = 2;

    #[inline]
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(Self::RUNNING))
    }

    #[inline]
    pub(crate) fn set_running(&self, running: bool) {
        self.0.store(if running { Self::RUNNING } else { Self::WAITING }, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn set_recorded(&self) {
        self.0.store(Self::RECORDED, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn is_recorded(&mut self) -> bool {
        *self.0.get_mut() == Self::RECORDED
    }

    /// Returns the outcome of a call that is dropped before it has been recorded.
    pub(crate) fn dropped(&mut self) -> Outcome {
        if *self.0.get_mut() == Self::WAITING { Outcome::Cancelled } else { Outcome::Exception }
    }
}

/// The outcome of a call.
#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    Ok,
    Exception,
    Cancelled,
}

impl Outcome {
    #[inline]
    pub(crate) fn returned(exception: bool) -> Self {
        if exception { Self::Exception } else { Self::Ok }
    }
}

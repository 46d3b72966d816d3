//! The stages of a call: pending, running, and ended in one of three ways.

use std::sync::atomic::{AtomicU8, Ordering};

/// A call that has not begun.
pub trait PendingCall: Sized {
    /// The call once it has begun.
    type Call;

    /// Begins the call.
    fn begin(self) -> Self::Call;

    /// Begins the call as of when its labels were evaluated.
    fn begin_backdated(self) -> Self::Call;
}

/// A call that has begun, of which `E` is known when it has returned. Dropped, it has panicked or was cancelled.
pub trait RunningCall<E> {
    /// How far the call is.
    fn progress(&self) -> &Progress;

    /// Ends a call that has returned.
    fn finish(&self, ending: E);
}

/// How far a call is.
#[derive(Debug)]
pub struct Progress(AtomicU8);

impl Progress {
    /// Between two polls of the future: dropped now, it is cancelled.
    const WAITING: u8 = 0;
    /// The body is running: dropped now, it is unwinding.
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

    /// Returns the outcome of a call that is dropped before it was recorded.
    pub(crate) fn dropped(&mut self) -> Outcome {
        if *self.0.get_mut() == Self::WAITING { Outcome::Cancelled } else { Outcome::Exception }
    }
}

/// How a call ended.
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

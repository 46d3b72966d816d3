//! The clock of timers and instrumented calls. Monotonic: a difference is never negative.

use std::time::{Duration, Instant};

/// A moment on the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(Instant);

impl Moment {
    #[inline]
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }

    #[inline]
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

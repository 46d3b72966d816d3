//! The state that a target keeps between pushes, such as the totals that it has delivered.

use std::fmt;
use std::io;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, PoisonError};

use super::PushContext;
use crate::lock::lock;
use crate::per_process;

/// The state of a target, which its clones share.
pub(in crate::export) struct PushState<T> {
    slot: Mutex<Slot<T>>,
    returned: Condvar,
}

struct Slot<T> {
    /// `None` during a push, because no lock is held while a scrape runs collectors.
    idle: Option<T>,
    /// The process of the push that took the state last.
    process: u32,
}

/// The state during a push. It is returned when dropped, even if the push panics.
pub(in crate::export) struct TakenState<'s, T: Default> {
    shared: &'s PushState<T>,
    state: T,
}

impl<T: Default> PushState<T> {
    /// Takes the state for a push. Waits for a push that is using it.
    ///
    /// # Errors
    ///
    /// Returns an error if another push does not finish within the time left for this one, or if the parent of this
    /// process was pushing when it forked.
    pub(in crate::export) fn take(&self, push: &PushContext<'_>) -> io::Result<TakenState<'_, T>> {
        let (timeout, process) = (push.time_left()?, per_process::id());
        let is_in_use = |slot: &mut Slot<T>| slot.idle.is_none() && slot.process == process;
        let waited = self.returned.wait_timeout_while(lock(&self.slot), timeout, is_in_use);
        let mut slot = waited.unwrap_or_else(PoisonError::into_inner).0;
        match slot.idle.take() {
            Some(state) => {
                slot.process = process;
                Ok(TakenState { shared: self, state })
            }
            None if slot.process == process => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "another push to the same target has not finished"))
            }
            None => {
                push.do_not_retry();
                Err(io::Error::other("this target was pushing when the process forked; create a new one in the child"))
            }
        }
    }
}

impl<T: Default> Default for PushState<T> {
    fn default() -> Self {
        Self { slot: Mutex::new(Slot { idle: Some(T::default()), process: 0 }), returned: Condvar::new() }
    }
}

impl<T> fmt::Debug for PushState<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushState").finish_non_exhaustive()
    }
}

impl<T: Default> Deref for TakenState<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.state
    }
}

impl<T: Default> DerefMut for TakenState<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.state
    }
}

impl<T: Default> Drop for TakenState<'_, T> {
    fn drop(&mut self) {
        lock(&self.shared.slot).idle = Some(mem::take(&mut self.state));
        self.shared.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::registry::Registry;

    fn context(registry: &Registry, timeout: Duration) -> PushContext<'_> {
        PushContext::new(registry, "target", Instant::now() + timeout)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn pushes_wait_for_each_other_but_not_beyond_their_timeout() {
        let (registry, state) = (Registry::new(), PushState::<u64>::default());
        let push = context(&registry, LONG);
        let mut first = state.take(&push).expect("idle");
        let error = state.take(&context(&registry, Duration::from_millis(20))).err().expect("it is in use");
        let expected = (io::ErrorKind::TimedOut, "another push to the same target has not finished");
        assert_eq!((error.kind(), error.to_string().as_str()), expected);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| *state.take(&context(&registry, LONG)).expect("it is returned"));
            *first += 1;
            drop(first);
            assert_eq!(waiting.join().expect("no panic"), 1);
        });
    }

    #[test]
    fn a_push_that_panics_returns_the_state() {
        let (registry, state) = (Registry::new(), PushState::<u64>::default());
        let push = context(&registry, LONG);
        let panics = || {
            *state.take(&push).expect("idle") += 1;
            let _taken = state.take(&push).expect("idle");
            panic!("a push");
        };
        catch_unwind(AssertUnwindSafe(panics)).expect_err("it panics");
        assert_eq!(*state.take(&push).expect("it was returned"), 1);
    }

    #[test]
    fn a_child_that_was_forked_during_a_push_gets_an_error_at_once() {
        let (registry, state) = (Registry::new(), PushState::<u64>::default());
        let push = context(&registry, Duration::from_secs(3_600));
        let _taken = state.take(&push).expect("idle");
        // This simulates a child, in which no thread returns the state.
        lock(&state.slot).process += 1;
        let error = state.take(&push).err().expect("in use").to_string();
        assert_eq!(error, "this target was pushing when the process forked; create a new one in the child");
    }
}

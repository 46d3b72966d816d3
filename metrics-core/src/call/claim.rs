//! A value that user code makes once, for the first who asks; nobody holds a lock or waits for long meanwhile.

use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use crate::cell::lock;

/// The longest that another thread waits for the one that makes the value.
const PATIENCE: Duration = Duration::from_millis(100);

/// Like a `OnceLock`, but asking while one is just making the value gives `None` instead of a deadlock.
pub(super) struct Claim<T> {
    value: OnceLock<T>,
    maker: Mutex<Option<ThreadId>>,
    made: Condvar,
}

impl<T> Claim<T> {
    pub(super) const fn new() -> Self {
        Self { value: OnceLock::new(), maker: Mutex::new(None), made: Condvar::new() }
    }

    #[inline]
    pub(super) fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// The value, made by `make` if nobody has claimed it; `make` must not panic.
    ///
    /// `None` if `make` itself asks, or if another thread does not finish making it in time.
    #[cold]
    pub(super) fn get_or_make(&self, make: impl FnOnce() -> T) -> Option<&T> {
        let this = thread::current().id();
        let mut maker = lock(&self.maker);
        match *maker {
            None if self.value.get().is_none() => *maker = Some(this),
            Some(other) if other != this => {
                let waited = self.made.wait_timeout_while(maker, PATIENCE, |maker| maker.is_some());
                drop(waited.unwrap_or_else(PoisonError::into_inner));
                return self.value.get();
            }
            _ => return self.value.get(),
        }
        drop(maker);
        let value = self.value.get_or_init(make);
        *lock(&self.maker) = None;
        self.made.notify_all();
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn many_threads_at_once_make_one_value() {
        let claim = Claim::new();
        let made = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let value = claim.get_or_make(|| made.fetch_add(1, Ordering::Relaxed));
                    assert_eq!(value, Some(&0));
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }

    #[test]
    fn a_value_that_asks_for_itself_gets_none() {
        let claim = Claim::new();
        let value = claim.get_or_make(|| claim.get_or_make(|| unreachable!("claimed")).is_none());
        assert_eq!(value, Some(&true));
    }
}

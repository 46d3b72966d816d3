//! A `OnceLock` whose initializer is user code and may therefore re-enter or block.
//!
//! Families and value lists are user-supplied expressions. They may call the function that is being initialized or
//! wait for a lock that another caller holds. No lock is held while an initializer runs. A re-entrant caller gets
//! `None`. Other threads wait for at most one second. A thread whose wait times out runs the initializer itself and
//! uses that result, so no call is lost.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::lock::lock;
use crate::registry::declared::{Attempts, UserCode};

/// The maximum time that other threads wait for the thread that runs the initializer.
const MAKER_TIMEOUT: Duration = Duration::from_secs(1);

/// Identifies a running thread. Unlike [`std::thread::current`], can also be called while the thread ends.
/// Never used twice, because a forked process keeps the marks of threads that it does not have.
#[derive(Clone, Copy, PartialEq)]
struct ThreadMark(u64);

impl ThreadMark {
    fn current() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        thread_local!(static MARK: Cell<u64> = const { Cell::new(0) });
        if MARK.get() == 0 {
            MARK.set(LAST.fetch_add(1, Ordering::Relaxed) + 1);
        }
        Self(MARK.get())
    }
}

/// Like a `OnceLock`, but a re-entrant initialization returns `None` instead of deadlocking.
pub(crate) struct ReentrantOnce<T> {
    value: OnceLock<T>,
    /// Boxed and allocated on demand, because the compiler processes every field of each annotated function's static.
    making: OnceLock<Box<Making<T>>>,
}

/// The initialization state, used until there is a value.
struct Making<T> {
    /// The threads that run the initializer: the first caller, and those whose wait has timed out.
    makers: Mutex<Vec<ThreadMark>>,
    made: Condvar,
    /// The value from a thread whose wait timed out.
    fallback: OnceLock<T>,
    /// The value to use until the initializer succeeds.
    provisional: OnceLock<T>,
    attempts: Attempts,
}

impl<T> Default for Making<T> {
    fn default() -> Self {
        Self {
            makers: Mutex::default(),
            made: Condvar::default(),
            fallback: OnceLock::new(),
            provisional: OnceLock::new(),
            attempts: Attempts::new(),
        }
    }
}

impl<T> ReentrantOnce<T> {
    pub(crate) const fn new() -> Self {
        Self { value: OnceLock::new(), making: OnceLock::new() }
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Returns the value, or else the fallback or the provisional value. Runs no initializer.
    #[inline]
    pub(crate) fn usable(&self) -> Option<&T> {
        self.get().or_else(|| self.fallback_or_provisional())
    }

    #[cold]
    #[inline(never)]
    fn fallback_or_provisional(&self) -> Option<&T> {
        let making = self.making.get()?;
        self.get().or(making.fallback.get()).or(making.provisional.get())
    }

    /// Returns true while a thread is running the initializer.
    pub(crate) fn is_being_made(&self) -> bool {
        self.making.get().is_some_and(|making| !lock(&making.makers).is_empty())
    }

    /// Returns the provisional value if the initializer has failed and has not succeeded since.
    pub(crate) fn provisional(&self) -> Option<&T> {
        let making = self.making.get()?;
        if self.get().or(making.fallback.get()).is_some() { None } else { making.provisional.get() }
    }

    /// Returns the value, running the initializer `make` if no other thread is running one. `make` must not panic.
    ///
    /// If `make` fails, it returns a provisional value, which is used until a later call succeeds. `user_code`
    /// determines whether a later call may run `make`.
    ///
    /// Returns `None` if called by `make` itself. If another thread's initializer does not finish in time, possibly
    /// because it is waiting for a lock that the caller holds, the caller runs `make` too, so that no call is
    /// miscounted.
    #[cold]
    pub(crate) fn get_or_make(&self, user_code: UserCode, make: impl FnOnce() -> Result<T, T>) -> Option<&T> {
        let this = ThreadMark::current();
        let making: &Making<T> = self.making.get_or_init(Box::default);
        let made = || self.value.get().or_else(|| making.fallback.get());
        if let Some(value) = made() {
            return Some(value);
        }
        // Checked without the lock, because calls take this path for as long as an initializer hangs.
        if let Some(provisional) = making.provisional.get()
            && !making.attempts.allow(user_code)
        {
            return Some(provisional);
        }
        let mut makers = lock(&making.makers);
        if makers.contains(&this) || made().is_some() {
            return made().or_else(|| making.provisional.get());
        }
        if let Some(provisional) = making.provisional.get()
            && !makers.is_empty()
        {
            return Some(provisional);
        }
        if !makers.is_empty() {
            let usable = || made().or_else(|| making.provisional.get());
            let waiting = |makers: &mut Vec<ThreadMark>| !makers.is_empty() && usable().is_none();
            let waited = making.made.wait_timeout_while(makers, MAKER_TIMEOUT, waiting);
            (makers, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if let Some(value) = usable() {
                return Some(value);
            }
        }
        let is_first = makers.is_empty();
        makers.push(this);
        drop(makers);
        let _end = End(making, this);
        // The loser of a race drops its value; the winner's value is equivalent.
        let _ = match make() {
            Ok(value) if is_first => self.value.set(value),
            Ok(value) => making.fallback.set(value),
            Err(provisional) => making.provisional.set(provisional),
        };
        made().or_else(|| making.provisional.get())
    }
}

/// Wakes the waiting threads when an initializer has finished or panicked.
struct End<'a, T>(&'a Making<T>, ThreadMark);

impl<T> Drop for End<'_, T> {
    fn drop(&mut self) {
        lock(&self.0.makers).retain(|maker| *maker != self.1);
        self.0.made.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    impl<T> ReentrantOnce<T> {
        fn make(&self, make: impl FnOnce() -> T) -> Option<&T> {
            self.get_or_make(UserCode::Due, || Ok(make()))
        }
    }

    #[test]
    fn a_failed_initializer_is_retried_with_back_off_or_immediately_on_request() {
        let once = ReentrantOnce::new();
        let made = AtomicUsize::new(0);
        let fail = || Err(made.fetch_add(1, Ordering::Relaxed));
        for _ in 0..100 {
            assert_eq!(once.get_or_make(UserCode::Due, fail), Some(&0));
        }
        // The first call, then calls 1, 2, 4, 8, 16, 32 and 64 of the remaining 99.
        assert_eq!(made.load(Ordering::Relaxed), 8);
        assert_eq!((once.get(), once.provisional()), (None, Some(&0)));
        assert_eq!(once.get_or_make(UserCode::Now, fail), Some(&0));
        assert_eq!(made.load(Ordering::Relaxed), 9);
        assert_eq!(once.get_or_make(UserCode::Now, || Ok(7)), Some(&7));
        assert_eq!((once.get(), once.provisional()), (Some(&7), None));
    }

    #[test]
    fn threads_have_different_marks() {
        let this = ThreadMark::current();
        assert!(this == ThreadMark::current());
        assert!(thread::spawn(move || ThreadMark::current() != this).join().expect("no panic"));
    }

    #[test]
    fn concurrent_threads_make_one_value() {
        let once = ReentrantOnce::new();
        let made = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let value = once.make(|| made.fetch_add(1, Ordering::Relaxed));
                    assert_eq!(value, Some(&0));
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }

    #[test]
    fn an_initializer_that_waits_for_another_caller_does_not_deadlock() {
        let once = ReentrantOnce::new();
        let (begun, wait) = mpsc::channel();
        let held = Mutex::new(());
        let guard = lock(&held);
        thread::scope(|scope| {
            scope.spawn(|| {
                let slow = || {
                    begun.send(()).expect("the other thread waits");
                    drop(lock(&held));
                    1
                };
                assert_eq!(once.make(slow), Some(&1));
            });
            wait.recv().expect("the other thread begins");
            assert_eq!(once.make(|| 2), Some(&2));
            drop(guard);
        });
        assert_eq!(once.get(), Some(&1));
    }

    #[test]
    fn a_re_entrant_initializer_gets_none() {
        let once = ReentrantOnce::new();
        let value = once.make(|| once.make(|| unreachable!("it is being made")).is_none());
        assert_eq!(value, Some(&true));
    }

    /// Runs `f` while the first initializer hangs, and then makes the initializer return 1.
    fn while_the_first_initializer_hangs(f: impl FnOnce(&ReentrantOnce<usize>)) {
        let once = ReentrantOnce::new();
        let (begun, wait) = mpsc::channel();
        let (end, may_end) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let once = &once;
            scope.spawn(move || {
                once.make(|| {
                    begun.send(()).expect("the other thread waits");
                    may_end.recv().expect("the other thread ends");
                    1
                });
            });
            wait.recv().expect("the first initializer begins");
            f(once);
            end.send(()).expect("the first initializer waits");
        });
        assert_eq!(once.get(), Some(&1));
    }

    #[test]
    fn calls_take_no_lock_while_the_first_initializer_hangs_and_others_fail() {
        while_the_first_initializer_hangs(|once| {
            assert_eq!(once.get_or_make(UserCode::Due, || Err(2)), Some(&2));
            let making = once.making.get().expect("it is being made");
            let held = lock(&making.makers);
            for _ in 0..100 {
                assert_eq!(once.get_or_make(UserCode::Never, || unreachable!("user code is not allowed")), Some(&2));
            }
            drop(held);
            let made = AtomicUsize::new(0);
            for _ in 0..100 {
                let make = || Err(made.fetch_add(1, Ordering::Relaxed));
                assert_eq!(once.get_or_make(UserCode::Due, make), Some(&2));
            }
            assert_eq!(made.into_inner(), 0, "the first initializer is still running");
        });
    }

    #[test]
    fn a_caller_that_timed_out_and_re_enters_does_not_wait_again() {
        while_the_first_initializer_hangs(|once| {
            let made = AtomicUsize::new(0);
            let value = once.make(|| {
                assert_eq!(made.fetch_add(1, Ordering::Relaxed), 0, "the initializer recurses");
                assert_eq!(once.make(|| 3), None);
                2
            });
            assert_eq!(value, Some(&2));
            // While the first initializer hangs, calls take no lock.
            let making = once.making.get().expect("it is being made");
            let held = lock(&making.makers);
            assert_eq!(once.make(|| unreachable!("the value exists")), Some(&2));
            drop(held);
        });
    }
}

//! A static value that a forked child does not share with its parent.
//!
//! A child has one thread, the one that called `fork`. A value that refers to other threads, such as the alarm thread
//! or a running collector, is therefore invalid in the child, and a lock that another thread held stays locked forever.
//! The child gets a new value instead.

use std::process;
use std::sync::OnceLock;

/// Returns the ID of this process, or 0 on platforms without processes, on which [`process::id`] panics.
pub(crate) fn id() -> u32 {
    if cfg!(target_family = "wasm") { 0 } else { process::id() }
}

/// A list of values, one for each process that has called [`PerProcess::get`]: this process and its ancestors.
pub(crate) struct PerProcess<T> {
    first: OnceLock<Box<ProcessValue<T>>>,
}

struct ProcessValue<T> {
    process: u32,
    value: T,
    next: OnceLock<Box<ProcessValue<T>>>,
}

impl<T> std::fmt::Debug for PerProcess<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PerProcess").finish_non_exhaustive()
    }
}

impl<T: Default> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self { first: OnceLock::new() }
    }

    /// Returns this process's value, creating it if necessary.
    pub(crate) fn get(&self) -> &T {
        let process = id();
        let new = || Box::new(ProcessValue { process, value: T::default(), next: OnceLock::new() });
        let mut of = self.first.get_or_init(new);
        while of.process != process {
            of = of.next.get_or_init(new);
        }
        &of.value
    }
}

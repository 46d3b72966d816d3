//! The failures that the checks find. The first ones are printed immediately.

use std::sync::atomic::{AtomicU64, Ordering};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// Prints a failure, unless many were printed before. The run fails at its end.
pub(crate) fn report(failure: impl AsRef<str>) {
    if COUNT.fetch_add(1, Ordering::SeqCst) < 60 {
        println!("FAILURE: {}", failure.as_ref());
    }
}

pub(crate) fn count() -> u64 {
    COUNT.load(Ordering::SeqCst)
}

//! The log of the library: through the `log` crate, or on stderr if the program has no logger.
//!
//! A program without a logger would never learn that a metric is not exported. Nearly every line is logged once, so stderr
//! gets few of them. Logging that is turned off (`RUST_LOG=off`) looks the same as no logger. A logger is user code, and one that panics must not harm the caller, so every line goes through here.

use std::fmt;
use std::io::{Write, stderr};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use log::{Level, LevelFilter};

/// The target of all lines, by which a logger can filter them.
const TARGET: &str = "metrics_core";

/// Logs a line. Warnings and errors go to stderr if logging is off, as it is in a program without a logger.
pub(crate) fn log(level: Level, line: fmt::Arguments<'_>) {
    guarded(|| {
        if log::max_level() != LevelFilter::Off {
            log::log!(target: TARGET, level, "{line}");
        } else if level <= Level::Warn {
            // In one piece, so that the lines of several threads do not mix.
            let text = format!("metrics-core: {line}\n");
            // A closed stderr leaves nobody to report to.
            let _ = stderr().write_all(text.as_bytes());
        }
    });
}

/// Runs code of the user whose panic must not reach the caller; `None` if it panics.
pub(crate) fn guarded<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(payload) => {
            // Dropping it may panic, too.
            mem::forget(payload);
            None
        }
    }
}

//! Logging through the `log` crate, or to stderr if the program has no logger.
//!
//! The fallback to stderr keeps problems such as unexported metrics from going unnoticed. Nearly every message is
//! logged only once, so few lines reach stderr. The fallback also applies if logging is turned off (`RUST_LOG=off`),
//! which cannot be distinguished from a missing logger. A logger is user code, whose panics must not reach the caller,
//! so every message goes through [`log()`].

use std::fmt;
use std::io::{Write, stderr};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use log::{Level, LevelFilter};

/// The target of all messages, which a logger can filter by.
const TARGET: &str = "metrics_core";

/// Logs a message. Warnings and errors go to stderr if logging is off, as in a program without a logger.
pub(crate) fn log(level: Level, line: fmt::Arguments<'_>) {
    guarded(|| {
        if log::max_level() != LevelFilter::Off {
            log::log!(target: TARGET, level, "{line}");
        } else if level <= Level::Warn {
            // Written in one call, so that lines from different threads do not interleave.
            let text = format!("metrics-core: {line}\n");
            // If stderr is closed, the message cannot be reported.
            let _ = stderr().write_all(text.as_bytes());
        }
    });
}

/// Runs user code, and returns `None` if it panics.
pub(crate) fn guarded<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(payload) => {
            // Leaked, because dropping the payload may panic as well.
            mem::forget(payload);
            None
        }
    }
}

//! The library's logging: through the `log` crate, or to stderr if the program has no logger.
//!
//! Without a logger, an unexported metric would go unnoticed. Nearly every message is logged only once, so few lines
//! reach stderr. Logging that is turned off (`RUST_LOG=off`) cannot be distinguished from a missing logger. A logger is
//! user code, and its panics must not reach the caller, so every message goes through [`log()`].

use std::fmt;
use std::io::{Write, stderr};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use log::{Level, LevelFilter};

/// The target of all messages, by which a logger can filter them.
const TARGET: &str = "metrics_core";

/// Logs a message. Warnings and errors go to stderr if logging is off, as it is in a program without a logger.
pub(crate) fn log(level: Level, line: fmt::Arguments<'_>) {
    guarded(|| {
        if log::max_level() != LevelFilter::Off {
            log::log!(target: TARGET, level, "{line}");
        } else if level <= Level::Warn {
            // Written in one call, so that lines of several threads do not interleave.
            let text = format!("metrics-core: {line}\n");
            // If stderr is closed, the message cannot be reported.
            let _ = stderr().write_all(text.as_bytes());
        }
    });
}

/// Runs user code and catches its panic, in which case it returns `None`.
pub(crate) fn guarded<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(payload) => {
            // Dropping the payload may panic as well.
            mem::forget(payload);
            None
        }
    }
}

//! Logging through the `log` crate, or to stderr if the program has no logger.
//!
//! The fallback to stderr keeps problems such as unexported metrics from going unnoticed. Nearly every message is
//! logged only once, so few lines reach stderr. The fallback also applies if logging is turned off (`RUST_LOG=off`),
//! which cannot be distinguished from a missing logger. A logger is user code, whose panics must not reach the caller,
//! so every message goes through [`log()`].
//!
//! A logger blocks if nothing reads its output, for example because the program that collects logs hangs. The server's
//! thread serves all scrapes, so it hands its warnings over to other threads; see [`hand_over`]. A thread that holds
//! the lock of the `prometheus` registry does the same, because a logger may need that lock.

use std::cell::Cell;
use std::fmt;
use std::io::{Write, stderr};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use log::{Level, LevelFilter};

use crate::per_process::PerProcess;

/// The target of all messages, which a logger can filter by.
const TARGET: &str = "metrics_core";

/// The maximum number of messages that wait for a logger on other threads. Further messages are dropped.
const MAX_WAITING: usize = 8;

thread_local! {
    static HANDS_OVER: Cell<bool> = const { Cell::new(false) };
}

/// Logs a message. Warnings and errors go to stderr if logging is off, as in a program without a logger.
pub(crate) fn log(level: Level, line: fmt::Arguments<'_>) {
    if !(level <= Level::Warn && HANDS_OVER.get() && log_elsewhere(level, line)) {
        log_here(level, line);
    }
}

/// Sets whether the current thread lets other threads log its warnings and errors. Other messages are logged on
/// the current thread, because they may be frequent and occur only if the program requests them.
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only the server calls it"))]
pub(crate) fn hand_over(hands_over: bool) {
    HANDS_OVER.set(hands_over);
}

/// Runs `f`. Meanwhile, other threads log the warnings and errors of the current thread, as after [`hand_over`].
pub(crate) fn handing_over<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            HANDS_OVER.set(self.0);
        }
    }
    let _restore = Restore(HANDS_OVER.replace(true));
    f()
}

/// Logs a message on another thread. Returns false if no thread can be spawned.
fn log_elsewhere(level: Level, line: fmt::Arguments<'_>) -> bool {
    static WAITING: PerProcess<AtomicUsize> = PerProcess::new();
    let waiting = WAITING.get();
    let Some(line) = guarded(|| line.to_string()) else { return true };
    let is_dropped = waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING;
    let is_logged = is_dropped || {
        let log = move || {
            log_here(level, format_args!("{line}"));
            waiting.fetch_sub(1, Ordering::Relaxed);
        };
        thread::Builder::new().name("metrics-log".to_owned()).spawn(log).is_ok()
    };
    if is_dropped || !is_logged {
        waiting.fetch_sub(1, Ordering::Relaxed);
    }
    is_logged
}

fn log_here(level: Level, line: fmt::Arguments<'_>) {
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

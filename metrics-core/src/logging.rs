//! Logging through the `log` crate, or to stderr if the program has no logger.
//!
//! The fallback to stderr keeps problems such as unexported metrics from going unnoticed. Nearly every message is
//! logged only once, so few lines reach stderr. The fallback also applies if logging is turned off (`RUST_LOG=off`),
//! which cannot be distinguished from a missing logger. A logger is user code, whose panics must not reach the caller,
//! so every message goes through [`log()`].
//!
//! A logger blocks if nothing reads its output, for example because the program that collects logs hangs. The server's
//! thread serves all scrapes, so other threads log its warnings; see [`LoggingThread`]. The same applies to a thread
//! that holds the lock of the `prometheus` registry, because a logger may need that lock.

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

/// The thread that logs the warnings and errors of the current thread. The current thread logs other messages, because
/// they may be frequent and occur only if the program requests them.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum LoggingThread {
    Current,
    /// Another thread, or the current one if no thread can be spawned.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only the server uses it"))]
    Other,
    /// Another thread. If no thread can be spawned, messages go to stderr, because a logger may need a lock that the
    /// current thread holds.
    OnlyOther,
}

thread_local! {
    static LOGGING_THREAD: Cell<LoggingThread> = const { Cell::new(LoggingThread::Current) };
}

impl LoggingThread {
    /// The thread that logs for the current thread.
    pub(crate) fn get() -> Self {
        LOGGING_THREAD.get()
    }

    /// The thread that logs for a thread for which the current one waits.
    pub(crate) fn of_spawned(self) -> Self {
        if self == Self::OnlyOther { self } else { Self::Current }
    }

    /// Lets this thread log for the current thread.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only the server calls it"))]
    pub(crate) fn set(self) {
        LOGGING_THREAD.set(self);
    }

    /// Lets this thread log for the current thread while `f` runs.
    pub(crate) fn during<R>(self, f: impl FnOnce() -> R) -> R {
        struct Restore(LoggingThread);
        impl Drop for Restore {
            fn drop(&mut self) {
                LOGGING_THREAD.set(self.0);
            }
        }
        let _restore = Restore(LOGGING_THREAD.replace(self));
        f()
    }
}

/// Logs a message. Warnings and errors go to stderr if logging is off, as in a program without a logger.
pub(crate) fn log(level: Level, line: fmt::Arguments<'_>) {
    let thread = LoggingThread::get();
    if thread == LoggingThread::Current || level > Level::Warn {
        log_here(level, line);
    } else if !log_elsewhere(level, line) {
        match thread {
            LoggingThread::OnlyOther => write_to_stderr(line),
            LoggingThread::Current | LoggingThread::Other => log_here(level, line),
        }
    }
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
            write_to_stderr(line);
        }
    });
}

fn write_to_stderr(line: fmt::Arguments<'_>) {
    // Written in one call, so that lines from different threads do not interleave.
    let text = format!("metrics-core: {line}\n");
    // If stderr is closed, the message cannot be reported.
    let _ = stderr().write_all(text.as_bytes());
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

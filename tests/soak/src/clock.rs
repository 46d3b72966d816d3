//! A run of this program under libfaketime, whose system clock jumps forward and back by hours.
//!
//! The monotonic clock is not changed: on real systems it never steps, and the timeouts of the standard library are
//! computed with it but awaited by the kernel, which libfaketime does not affect.

use std::error::Error;
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::time::Duration;
use std::{env, fs, thread};

use crate::random::Random;

/// The system clock of a run.
#[derive(Clone, Copy)]
pub(crate) enum Clock {
    Real,
    /// This process starts another one, and steps its clock.
    Steps,
    /// Another process steps the clock of this one.
    Stepping,
}

/// The Debian package `libfaketime` installs one of these files.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
];

/// Runs this program with the same seed, and steps its clock every half second until it ends.
pub(crate) fn run_with_steps(seconds: u64, seed: u64) -> Result<ExitCode, Box<dyn Error>> {
    let library = LIBRARIES.into_iter().find(|path| Path::new(path).exists());
    let library = library.ok_or("libfaketime is missing; install the Debian package `libfaketime`")?;
    let dir = tempfile::tempdir()?;
    let (control, next) = (dir.path().join("offset"), dir.path().join("next"));
    fs::write(&control, "+0")?;
    let child = Command::new(env::current_exe()?)
        .args(["--under-stepping-clock", "--seconds", &seconds.to_string(), "--seed", &seed.to_string()])
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &control)
        .env("FAKETIME_CACHE_DURATION", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .spawn()?;
    let mut child = Guard(child);
    let mut random = Random::new(seed);
    let status = loop {
        if let Some(status) = child.0.try_wait()? {
            break status;
        }
        // Up to ten hours in both directions. The file is replaced atomically.
        let offset = random.below(72_000) as i64 - 36_000;
        fs::write(&next, format!("{offset:+}"))?;
        fs::rename(&next, &control)?;
        thread::sleep(Duration::from_millis(500));
    };
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Kills the process when dropped, unless it has already ended.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

//! Detects programs that record metrics but never expose them.
//!
//! A program may expose its metrics late, for example with a push at the end of a batch job, so a warning is logged
//! only after ten minutes. The check runs whenever a series is created, which happens only occasionally in a running
//! service. It therefore needs no thread, and calls that use existing series do not pay for it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use log::Level;

use crate::logging::log;

/// The time from the first series to the warning about a program that exposes nothing.
const PATIENCE: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_secs(10 * 60) };

/// The exposure state of this process's metrics.
pub(crate) static EXPOSURE: Exposure = Exposure::new();

/// Records whether anything exposes metrics.
pub(crate) struct Exposure {
    first_series: OnceLock<Instant>,
    /// Set once something exposes metrics, or once the warning is logged.
    is_settled: AtomicBool,
}

impl Exposure {
    const fn new() -> Self {
        Self { first_series: OnceLock::new(), is_settled: AtomicBool::new(false) }
    }

    /// Records that something exposes metrics, or is set up to do so.
    pub(crate) fn begin(&self) {
        // This runs on every scrape, so it must not write the flag again once it is set.
        if !self.is_settled.load(Ordering::Relaxed) {
            self.is_settled.store(true, Ordering::Relaxed);
        }
    }

    /// Logs a warning if series have existed for ten minutes and nothing exposes them. The caller must not hold a lock.
    pub(crate) fn check(&self) {
        if !self.is_settled.load(Ordering::Relaxed) && self.is_overdue(PATIENCE) {
            let remedy =
                "call `metrics_core::start_http_server(\"127.0.0.1:9464\")`, serve an `Exposition`, or start a pusher";
            log(Level::Warn, format_args!("nothing has exposed the metrics of this program for ten minutes: {remedy}"));
        }
    }

    /// Returns true, at most once, if `patience` has passed since the first call and nothing has exposed metrics.
    fn is_overdue(&self, patience: Duration) -> bool {
        let is_overdue = self.first_series.get_or_init(Instant::now).elapsed() >= patience;
        is_overdue && !self.is_settled.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::Command;

    use super::*;
    use crate::{Counter, Registry};

    #[test]
    fn an_unexposed_program_is_reported_once() {
        let exposure = Exposure::new();
        assert!(!exposure.is_overdue(Duration::from_secs(600)));
        assert!(exposure.is_overdue(Duration::ZERO));
        assert!(!exposure.is_overdue(Duration::ZERO));
    }

    /// The environment variable that is set in the child process, whose stderr the test examines.
    const IS_CHILD: &str = "METRICS_CORE_TEST_IS_CHILD";

    /// Runs in a separate process, because other tests expose metrics.
    #[test]
    fn a_new_series_in_an_unexposed_program_triggers_the_warning() {
        if env::var_os(IS_CHILD).is_some() {
            let family = Counter::builder("unexposed_total", "").labels(["n"]).register();
            drop(Registry::global().check());
            for n in ["1", "2", "3"] {
                family.labels([n]).inc();
            }
            return;
        }
        let mut child = Command::new(env::current_exe().expect("the path is known"));
        let name = "exposure::tests::a_new_series_in_an_unexposed_program_triggers_the_warning";
        let output = child.args(["--exact", name, "--nocapture"]).env(IS_CHILD, "1").output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let warning = "metrics-core: nothing has exposed the metrics of this program for ten minutes: call ";
        assert_eq!(stderr.matches(warning).count(), 1, "{stderr}");
    }

    #[test]
    fn an_exposed_program_is_not_reported() {
        let exposure = Exposure::new();
        exposure.begin();
        assert!(!exposure.is_overdue(Duration::ZERO));
    }
}

//! Metrics about the library's pushers, in the global registry.

use std::time::{SystemTime, UNIX_EPOCH};

use lazy_static::lazy_static;

use crate::counter::Counter;
use crate::family::Family;
use crate::gauge::Gauge;

/// The values of the `outcome` label.
pub(super) const SUCCESS: &str = "success";
pub(super) const ERROR: &str = "error";
pub(super) const TIMEOUT: &str = "timeout";
pub(super) const PANIC: &str = "panic";

lazy_static! {
    static ref PUSHES: Family<Counter, 2> =
        Counter::builder("metrics_core_push_total", "Pushes, by target and outcome.")
            .labels(["target", "outcome"])
            .register();
    static ref LAST_SUCCESS: Family<Gauge, 1> = Gauge::builder(
        "metrics_core_push_last_success_timestamp_seconds",
        "Unix time of the last successful push, in seconds."
    )
    .labels(["target"])
    .register();
    static ref SAMPLES_DROPPED: Family<Counter, 1> = Counter::builder(
        "metrics_core_push_samples_dropped_total",
        "Samples that the target cannot represent or has rejected."
    )
    .labels(["target"])
    .register();
}

/// Creates all series for a target, with a value of 0.
pub(super) fn init(target: &str) {
    for outcome in [SUCCESS, ERROR, TIMEOUT, PANIC] {
        PUSHES.labels([target, outcome]);
    }
    LAST_SUCCESS.labels([target]);
    SAMPLES_DROPPED.labels([target]);
}

/// Counts a push and records the time if it succeeded.
pub(super) fn pushed(target: &str, outcome: &str) {
    PUSHES.labels([target, outcome]).inc();
    if outcome == SUCCESS {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        LAST_SUCCESS.labels([target]).set(since.as_secs_f64());
    }
}

pub(super) fn dropped(target: &str, samples: u64) {
    SAMPLES_DROPPED.labels([target]).inc_by(samples);
}

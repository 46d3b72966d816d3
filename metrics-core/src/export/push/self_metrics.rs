//! What pushers tell about themselves, in the global registry.

use std::time::{SystemTime, UNIX_EPOCH};

use lazy_static::lazy_static;

use crate::counter::Counter;
use crate::family::Family;
use crate::gauge::Gauge;

/// Values of label `outcome`.
pub(super) const SUCCESS: &str = "success";
pub(super) const ERROR: &str = "error";
pub(super) const TIMEOUT: &str = "timeout";
pub(super) const PANIC: &str = "panic";

lazy_static! {
    static ref EXPORTS: Family<Counter, 2> =
        Counter::builder("metrics_core_export_total", "Pushes to targets, by what has become of them.")
            .labels(["receiver", "outcome"])
            .register();
    static ref LAST_SUCCESS: Family<Gauge, 1> = Gauge::builder(
        "metrics_core_export_last_success_timestamp_seconds",
        "When a target was last sent everything, in seconds since 1970."
    )
    .labels(["receiver"])
    .register();
    static ref LEFT_OUT: Family<Counter, 1> = Counter::builder(
        "metrics_core_export_left_out_total",
        "Samples that were not sent to a target, since it could not have read them."
    )
    .labels(["receiver"])
    .register();
}

/// Makes all series of a target, at 0.
pub(super) fn init(target: &str) {
    for outcome in [SUCCESS, ERROR, TIMEOUT, PANIC] {
        EXPORTS.labels([target, outcome]);
    }
    LAST_SUCCESS.labels([target]);
    LEFT_OUT.labels([target]);
}

/// Counts a push.
pub(super) fn pushed(target: &str, outcome: &str) {
    EXPORTS.labels([target, outcome]).inc();
    if outcome == SUCCESS {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        LAST_SUCCESS.labels([target]).set(since.as_secs_f64());
    }
}

pub(super) fn skipped(target: &str) {
    LEFT_OUT.labels([target]).inc();
}

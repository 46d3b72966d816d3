//! The metrics of the program: one of each type, directly and with labels, and metrics of the `prometheus` crate.

use std::sync::atomic::{AtomicU64, Ordering};

use lazy_static::lazy_static;
use metrics_core::{Counter, Family, Gauge, Histogram, Info, LabelValue, Metrics, StateSet, Summary};

use crate::model::Distribution;

#[derive(Clone, Copy, LabelValue)]
pub(crate) enum Method {
    Get,
    Post,
}

#[derive(Clone, Copy, LabelValue)]
pub(crate) enum Phase {
    Starting,
    Serving,
    Draining,
}

pub(crate) const PHASES: [(Phase, &str); 3] =
    [(Phase::Starting, "starting"), (Phase::Serving, "serving"), (Phase::Draining, "draining")];

/// Label values that need escaping in at least one format. They differ even after replacement by `_`.
pub(crate) const TEXTS: [&str; 5] = ["plain", "a \"quote\"", "back\\slash", "new\nline", "pipe|comma,hash#"];

#[derive(Metrics)]
#[metrics(prefix = "soak", global)]
pub(crate) struct Soak {
    /// Single events.
    pub(crate) ticks_total: Counter,
    /// Amounts with fractions.
    pub(crate) amounts_total: Counter,
    /// A closed set of label sets.
    #[metric(labels(method: Method, cached: bool))]
    pub(crate) sent_total: Family<Counter, 2>,
    /// A level that is raised and lowered.
    pub(crate) level: Gauge,
    /// Guards in scope.
    pub(crate) guards_in_flight: Gauge,
    /// A gauge for each slot.
    #[metric(labels(slot: u64))]
    pub(crate) depth: Family<Gauge, 1>,
    /// Plain summary.
    pub(crate) wait_seconds: Summary,
    /// Summary with quantiles.
    #[metric(quantiles(0.5, 0.99))]
    pub(crate) recent_seconds: Summary,
    /// Measured durations.
    pub(crate) timed_seconds: Summary,
    /// Classic histogram.
    #[metric(buckets(1, 2, 4, 8))]
    pub(crate) size_bytes: Histogram,
    /// Native histogram with labels.
    #[metric(native, buckets(0.5, 2), labels(method: Method))]
    pub(crate) both_seconds: Family<Histogram, 1>,
    /// A state for each slot.
    #[metric(labels(slot: u64))]
    pub(crate) phase: Family<StateSet<Phase>, 1>,
    /// The current leader.
    #[metric(labels(node: u64))]
    pub(crate) leader_info: Family<Info, 1>,
    /// Label values that need escaping.
    #[metric(labels(text: &str))]
    pub(crate) texts_total: Family<Counter, 1>,
    /// More label sets than the family may have.
    #[metric(labels(user: u64), max_series = 64)]
    pub(crate) seen_total: Family<Counter, 1>,
    /// Label sets that are never used again.
    #[metric(labels(id: u64), max_series = 32)]
    pub(crate) attacks_total: Family<Counter, 1>,
    /// Series that are created, used and removed.
    #[metric(labels(id: u64))]
    pub(crate) sessions_total: Family<Counter, 1>,
    /// Calls for a tenant.
    #[metric(labels(tenant: &str))]
    pub(crate) tenant_latency_seconds: Family<Summary, 1>,
    /// Failed calls for a tenant.
    #[metric(labels(tenant: &str))]
    pub(crate) tenant_failures_total: Family<Counter, 1>,
    /// Events of a tenant.
    #[metric(labels(tenant: &str))]
    pub(crate) tenant_events_total: Family<Counter, 1>,
    /// Latency of a function that names its families.
    #[metric(labels(path: &str), native, buckets(1))]
    pub(crate) own_latency_seconds: Family<Histogram, 1>,
    /// Exceptions of that function.
    #[metric(labels(path: &str))]
    pub(crate) own_failures_total: Family<Counter, 1>,
    /// Cancellations of that function.
    #[metric(labels(path: &str))]
    pub(crate) own_cancelled_total: Family<Counter, 1>,
    /// Running calls of that function.
    #[metric(labels(path: &str))]
    pub(crate) own_in_flight: Family<Gauge, 1>,
}

pub(crate) const WAIT: Distribution =
    Distribution { count: "soak_wait_seconds_count", sum: "soak_wait_seconds_sum", bucket: "", bounds: &[] };
pub(crate) const RECENT: Distribution =
    Distribution { count: "soak_recent_seconds_count", sum: "soak_recent_seconds_sum", bucket: "", bounds: &[] };
pub(crate) const SIZE: Distribution = Distribution {
    count: "soak_size_bytes_count",
    sum: "soak_size_bytes_sum",
    bucket: "soak_size_bytes_bucket",
    bounds: &[1.0, 2.0, 4.0, 8.0, f64::INFINITY],
};
pub(crate) const BOTH: Distribution = Distribution {
    count: "soak_both_seconds_count",
    sum: "soak_both_seconds_sum",
    bucket: "soak_both_seconds_bucket",
    bounds: &[0.5, 2.0, f64::INFINITY],
};
pub(crate) const THEIRS: Distribution = Distribution {
    count: "soak_theirs_seconds_count",
    sum: "soak_theirs_seconds_sum",
    bucket: "soak_theirs_seconds_bucket",
    bounds: &[0.25, 2.5, f64::INFINITY],
};

/// Metrics of the `prometheus` crate.
pub(crate) struct Theirs {
    pub(crate) counter: prometheus::IntCounterVec,
    pub(crate) histogram: prometheus::Histogram,
    /// Registered with this library only.
    pub(crate) bridged: prometheus::IntCounter,
}

lazy_static! {
    pub(crate) static ref THEIR: Theirs = theirs().expect("the names are valid and free");
}

/// The value that a callback exports.
pub(crate) static CALLED_BACK: AtomicU64 = AtomicU64::new(0);

fn theirs() -> prometheus::Result<Theirs> {
    let counter = prometheus::IntCounterVec::new(prometheus::Opts::new("soak_theirs_total", "Theirs."), &["way"])?;
    prometheus::register(Box::new(counter.clone()))?;
    let options = prometheus::HistogramOpts::new("soak_theirs_seconds", "Theirs.").buckets(vec![0.25, 2.5]);
    let histogram = prometheus::Histogram::with_opts(options)?;
    prometheus::register(Box::new(histogram.clone()))?;
    let bridged = prometheus::IntCounter::new("soak_bridged_total", "Theirs.")?;
    Ok(Theirs { counter, histogram, bridged })
}

/// Registers the metrics that no declaration registers.
pub(crate) fn register() {
    let registry = metrics_core::Registry::global();
    registry.register_prometheus_collector(Box::new(THEIR.bridged.clone())).expect("free");
    Counter::builder("soak_called_back_total", "A callback.").register_callback(|| CALLED_BACK.load(Ordering::SeqCst));
    Gauge::builder("soak_called_back_level", "A callback.")
        .register_callback(|| CALLED_BACK.load(Ordering::SeqCst) as f64);
}

//! Those who are compared: the library, its peers, and the limit of the hardware.

pub(crate) mod autometrics;
pub(crate) mod bare;
pub(crate) mod limit;
pub(crate) mod measured;
pub(crate) mod metered;
pub(crate) mod metrics;
pub(crate) mod opentelemetry;
pub(crate) mod ours;
pub(crate) mod prometheus;
pub(crate) mod prometheus_client;

use crate::labels::Labels;
use crate::measure::Operation;

/// Writes all series as text, and says how many bytes these are.
pub(crate) type Exposition = Box<dyn FnMut() -> usize>;

/// One way to measure a program; `None` is what it has no means for.
pub(crate) trait Peer {
    fn name(&self) -> &'static str;

    /// Adds 1 to a counter whose handle is held.
    fn counter(&self) -> Option<Operation> {
        None
    }

    /// Adds 1 to a counter that is looked up.
    fn counter_by_one(&self, _: Labels<1>) -> Option<Operation> {
        None
    }

    /// Adds 1 to a counter that is looked up by path, method and status.
    fn counter_by_three(&self, _: Labels<3>) -> Option<Operation> {
        None
    }

    /// Observes a value by a handle that is held: count and sum, with buckets where they can't be left out.
    fn observation(&self) -> Option<Operation> {
        None
    }

    /// Calls an instrumented function: its latency is observed, and an error counted.
    fn call(&self, labels: Labels<1>, fails: bool) -> Operation;

    /// Makes counters with one label, adds to each once, and shows them.
    fn exposition(&self, _series: usize) -> Option<Exposition> {
        None
    }
}

/// All whose figures stand in the table of peers; ours is the first.
pub(crate) fn all() -> [&'static dyn Peer; 9] {
    [
        &ours::Ours,
        &limit::Limit,
        &prometheus::Prometheus,
        &prometheus_client::PrometheusClient,
        &metrics::Metrics,
        &measured::Measured,
        &opentelemetry::OpenTelemetry,
        &autometrics::Autometrics,
        &metered::Metered,
    ]
}

/// A latency in seconds, up to 100 ms.
#[inline]
pub(crate) fn latency(number: u64) -> f64 {
    (number & 0xFF) as f64 * 4e-4
}

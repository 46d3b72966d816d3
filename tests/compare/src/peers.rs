//! The implementations to compare: the library, its peers, and the hardware limit.

pub(crate) mod autometrics;
pub(crate) mod bare;
pub(crate) mod distributions;
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

/// A function that writes all series as text and returns the number of bytes.
pub(crate) type Exposition = Box<dyn FnMut() -> usize + Send>;

/// A library to compare. Methods return `None` if the library does not support the operation.
pub(crate) trait Peer {
    fn name(&self) -> &'static str;

    /// Adds 1 to a counter through a held handle.
    fn counter(&self) -> Option<Operation> {
        None
    }

    /// Adds 1 to a counter that is looked up by path.
    fn counter_by_one(&self, _: Labels<1>) -> Option<Operation> {
        None
    }

    /// Adds 1 to a counter that is looked up by path, method and status.
    fn counter_by_three(&self, _: Labels<3>) -> Option<Operation> {
        None
    }

    /// Observes a value through a held handle. Records the count and sum, and buckets only if the library needs them.
    fn observation(&self) -> Option<Operation> {
        None
    }

    /// Calls an instrumented function, which observes its latency and counts errors.
    fn call(&self, labels: Labels<1>, fails: bool) -> Operation;

    /// Creates counters with one label, increments each one once, and returns a function that exposes them.
    fn exposition(&self, _series: usize) -> Option<Exposition> {
        None
    }
}

/// Returns all peers in table order. This library comes first.
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

/// Returns a latency of up to about 100 ms, in seconds.
#[inline]
pub(crate) fn latency(number: u64) -> f64 {
    (number & 0xFF) as f64 * 4e-4
}

//! A histogram with known observations. The latencies of real calls would not be known in advance.

use std::collections::BTreeSet;

use metrics_core::{Family, Histogram};

use super::rows;
use crate::prometheus::Prometheus;

/// Registers the histogram with one series at 0.
pub(super) fn register() -> Family<Histogram, 1> {
    let histogram = Histogram::builder("promql_exact_request_latency_seconds", "Known latencies.");
    let histogram = histogram.labels(["path"]).buckets([0.3, 1.2, 4.8]).register();
    histogram.labels(["/a"]);
    histogram
}

/// Observes ten latencies: six up to 0.3 seconds, three up to 1.2 seconds, and one up to 4.8 seconds.
pub(super) fn observe(histogram: &Family<Histogram, 1>) {
    for latency in [0.1, 0.1, 0.2, 0.2, 0.25, 0.3, 0.5, 1.0, 1.2, 2.0] {
        histogram.labels(["/a"]).observe(latency);
    }
}

/// Runs the guide's histogram queries.
pub(super) fn check(prometheus: &Prometheus, asked: &mut BTreeSet<&'static str>) {
    for (question, query) in rows("Histograms") {
        let expected = match question {
            // Prometheus interpolates within the bucket from 1.2 to 4.8 seconds, which contains the tenth observation.
            "95th percentile of the latency in seconds" => 1.2 + 0.5 * 3.6,
            "99th percentile over all paths in seconds" => 1.2 + 0.9 * 3.6,
            "share of requests within 0.3 seconds" => 0.6,
            "Apdex: satisfied within 0.3 seconds, tolerating 1.2" => (6.0 + 3.0 / 2.0) / 10.0,
            _ => panic!("no answer to {question}"),
        };
        let value = prometheus.value(&query.replace("shop_", "promql_exact_"));
        assert!((value - expected).abs() < 1e-6, "{query}: {value}, expected {expected}");
        asked.insert(question);
    }
}

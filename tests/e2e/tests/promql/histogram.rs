//! A histogram with known observations in several buckets. Latencies of real calls would not be known.

use metrics_core::{Family, Histogram};

use super::{Labels, Values, answer, rows};
use crate::prometheus::Prometheus;

/// Registers the histogram with two series at 0.
pub(super) fn register() -> Family<Histogram, 1> {
    let histogram = Histogram::builder("promql_exact_request_latency_seconds", "Known latencies.");
    let histogram = histogram.labels(["path"]).buckets([0.3, 1.2, 4.8]).register();
    for path in ["/a", "/b"] {
        histogram.labels([path]);
    }
    histogram
}

/// Observes ten latencies for each path. For `/a`, six are at most 0.3 seconds, three more are at most 1.2 seconds, and
/// one is above. For `/b`, all are at most 0.3 seconds.
pub(super) fn observe(histogram: &Family<Histogram, 1>) {
    for latency in [0.1, 0.1, 0.2, 0.2, 0.25, 0.3, 0.5, 1.0, 1.2, 2.0] {
        histogram.labels(["/a"]).observe(latency);
        histogram.labels(["/b"]).observe(latency / 10.0);
    }
}

/// Runs the guide's histogram queries.
pub(super) fn check(prometheus: &Prometheus) {
    let by_path = |a: f64, b: f64| -> Values {
        [("/a", a), ("/b", b)].map(|(path, value)| (Labels::from([("path".into(), path.into())]), value)).into()
    };
    for (question, query) in rows("Histograms") {
        let expected = match question {
            // Prometheus interpolates within a bucket. The bucket from 1.2 to 4.8 seconds contains one observation.
            "95th percentile of the latency in seconds" => by_path(1.2 + 0.5 * 3.6, 0.95 * 0.3),
            "99th percentile over all paths in seconds" => Values::from([(Labels::new(), 1.2 + 0.8 * 3.6)]),
            "share of requests within 0.3 seconds" => by_path(0.6, 1.0),
            "Apdex: satisfied within 0.3 seconds, tolerating 1.2" => by_path((6.0 + 3.0 / 2.0) / 10.0, 1.0),
            _ => panic!("no answer to {question}"),
        };
        let answer = answer(prometheus, &query.replace("shop_", "promql_exact_"));
        assert!(answer.keys().eq(expected.keys()), "{query}: {answer:?}, expected {expected:?}");
        let differ = answer.values().zip(expected.values()).any(|(value, expected)| (value - expected).abs() > 1e-6);
        assert!(!differ, "{query}: {answer:?}, expected {expected:?}");
    }
}

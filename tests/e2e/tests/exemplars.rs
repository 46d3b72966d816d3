//! Exemplars, as a real Prometheus stores and returns them.

use metrics_core::{Counter, Histogram, HttpServer, Registry};
use serde_json::json;

use crate::prometheus::Prometheus;
use crate::wait_for;

#[test]
fn prometheus_returns_the_exemplars() {
    let registry = Registry::new();
    let jobs = Counter::builder("jobs_total", "Jobs.").labels(["queue"]).register_in(&registry).expect("valid");
    let builder = Histogram::builder("job_latency_seconds", "Latency of jobs.").buckets([0.1, 1.0]).native();
    let latency = builder.register_in(&registry).expect("valid");
    jobs.labels(["mail"]).inc_with_exemplar(|| [("trace_id", "of the counter")]);
    for (seconds, trace) in [(0.05, "fast"), (0.5, "slow"), (5.0, "too slow")] {
        latency.observe_with_exemplar(seconds, || [("trace_id", trace), ("span_id", "00f067aa0ba902b7")]);
    }
    let server = HttpServer::builder().registry(&registry).start("127.0.0.1:0").expect("a free port");
    for version in Prometheus::VERSIONS {
        returns_the_exemplars(version, &server.local_addr().to_string());
    }
    server.shutdown();
}

fn returns_the_exemplars(version: &str, target: &str) {
    let openmetrics = Prometheus::start_version(version, target, "", &["--enable-feature=exemplar-storage"]);
    // With native histograms, Prometheus scrapes protobuf.
    let features = "--enable-feature=exemplar-storage,native-histograms";
    let protobuf = Prometheus::start_version(version, target, "", &[features]);
    for prometheus in [&openmetrics, &protobuf] {
        let found = wait_for("the exemplar of the counter", || prometheus.exemplars("jobs_total").pop());
        assert_eq!(found.0["queue"], "mail");
        assert_eq!(found.1, json!({"trace_id": "of the counter"}));
        assert_eq!(found.2, 1.0);
    }
    for (le, value, trace) in [("0.1", 0.05, "fast"), ("1.0", 0.5, "slow"), ("+Inf", 5.0, "too slow")] {
        let selector = format!("job_latency_seconds_bucket{{le=\"{le}\"}}");
        let [(_, labels, exemplar)] = &openmetrics.exemplars(&selector)[..] else { panic!("one for {le}") };
        assert_eq!((labels, *exemplar), (&json!({"trace_id": trace, "span_id": "00f067aa0ba902b7"}), value));
    }
    // Prometheus 2.42 stores only the first exemplar of a native histogram.
    let native = protobuf.exemplars("job_latency_seconds");
    let expected = [(0.05, "fast"), (0.5, "slow"), (5.0, "too slow")];
    assert!(!native.is_empty());
    for ((_, labels, value), (seconds, trace)) in native.iter().zip(expected) {
        assert_eq!((*value, &labels["trace_id"]), (seconds, &json!(trace)));
    }
}

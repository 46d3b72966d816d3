//! Percentiles from native histograms, classic buckets and summaries, as a real Prometheus calculates and reads them.

use metrics_core::{Histogram, HttpServer, Registry, Summary};

use crate::prometheus::Prometheus;
use crate::wait_for;

/// The factor between the bounds of the default native buckets.
const GROWTH: f64 = 1.0906;

/// Latencies with a median of 7 ms and a logarithm that is normally distributed with a standard deviation of 1.
fn latencies(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed;
    let mut uniform = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    };
    let mut normal = move || (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
    (0..count).map(|_| (-5.0 + normal()).exp()).collect()
}

/// Starts an instance that has observed these latencies.
fn instance(latencies: &[f64]) -> HttpServer {
    let registry = Registry::new();
    let histogram = Histogram::builder("native_latency_seconds", "Latency.").native().register_in(&registry);
    let histogram = histogram.expect("valid");
    let builder = Summary::builder("quantile_latency_seconds", "Latency.").quantiles([0.5, 0.9, 0.99]);
    let summary = builder.register_in(&registry).expect("valid");
    for latency in latencies {
        histogram.observe(*latency);
        summary.observe(*latency);
    }
    HttpServer::builder().registry(&registry).start("127.0.0.1:0").expect("a free port")
}

fn exact(sorted: &[f64], quantile: f64) -> f64 {
    sorted[((quantile * sorted.len() as f64).ceil() as usize).max(1) - 1]
}

#[test]
fn percentiles_of_two_instances_agree_with_the_exact_ones() {
    let (one, two) = (latencies(1, 20_000), latencies(2, 30_000));
    let mut all = [&one[..], &two[..]].concat();
    all.sort_by(f64::total_cmp);
    let servers = [instance(&one), instance(&two)];
    let [first, second] = servers.each_ref().map(|server| server.local_addr().to_string());
    let targets = format!("{first}', '{second}");
    for version in Prometheus::VERSIONS {
        agree(version, &targets, &first, &one, &all);
    }
    servers.into_iter().for_each(HttpServer::shutdown);
}

/// Asserts that the percentiles of a server that scrapes these instances agree with the exact ones. `one` are the
/// latencies of the first instance, and `all` those of both, sorted.
fn agree(version: &str, targets: &str, first: &str, one: &[f64], all: &[f64]) {
    let native = Prometheus::start_version(version, targets, "", &["--enable-feature=native-histograms"]);
    let classic = Prometheus::start_version(version, targets, "", &[]);
    let count = |prometheus: &Prometheus, query: &str| {
        wait_for("both instances", || {
            let result = prometheus.query(query);
            result.first().is_some_and(|(_, count)| *count == all.len() as f64).then_some(())
        });
    };
    count(&native, "histogram_count(sum(native_latency_seconds))");
    count(&classic, "sum(native_latency_seconds_count)");
    assert_eq!(native.query("native_latency_seconds_bucket"), [], "the native buckets replace the classic ones");
    for quantile in [0.1, 0.5, 0.9, 0.99, 0.999] {
        let exact = exact(all, quantile);
        let value = native.value(&format!("histogram_quantile({quantile}, sum(native_latency_seconds))"));
        assert!(value < exact * GROWTH && exact < value * GROWTH, "{quantile}: {value} instead of {exact}");

        // A classic quantile is in the bucket of the exact one.
        let query = format!("histogram_quantile({quantile}, sum by (le) (native_latency_seconds_bucket))");
        let value = classic.value(&query);
        let bounds = metrics_core::DEFAULT_BUCKETS;
        let bucket = |value: f64| bounds.partition_point(|bound| *bound < value);
        assert_eq!(bucket(value), bucket(exact), "{quantile}: {value} instead of {exact}");
    }
    let mut sorted = one.to_vec();
    sorted.sort_by(f64::total_cmp);
    for quantile in [0.5, 0.9, 0.99] {
        let query = format!("quantile_latency_seconds{{quantile=\"{quantile}\", instance=\"{first}\"}}");
        for prometheus in [&native, &classic] {
            let (value, exact) = (prometheus.value(&query), self::exact(&sorted, quantile));
            assert!((value / exact - 1.0).abs() <= 0.01, "{quantile}: {value} instead of {exact}");
        }
    }
}

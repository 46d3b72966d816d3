//! The Grafana dashboard and the Prometheus rules that are generated from the catalog.

use metrics_core::{Counter, Gauge, Histogram, Info, Registry, RulesError, Summary};

fn registry() -> Registry {
    let registry = Registry::new();
    let latency = Histogram::builder("shop_request_latency_seconds", "Latency.").buckets([0.25, 1.0]);
    latency.labels(["path", "method"]).register_in(&registry).expect("valid");
    let exceptions =
        Counter::builder("shop_request_exceptions_total", "Exceptions.").labels(["path", "method", "kind"]);
    exceptions.register_in(&registry).expect("valid");
    let latency = Summary::builder("shop_function_latency_seconds", "Latency.").quantiles([0.5]).labels(["function"]);
    latency.register_in(&registry).expect("valid");
    Gauge::builder("room_temperature_celsius", "Temperature of a room.")
        .labels(["job"])
        .register_in(&registry)
        .expect("valid");
    Info::builder("shop_build_info", "Build.").const_label("version", "1").register_in(&registry).expect("valid");
    registry
}

#[test]
fn the_same_catalog_results_in_the_same_bytes() {
    let (one, other) = (registry(), registry());
    assert_eq!(one.grafana_dashboard().to_json(), other.grafana_dashboard().to_json());
    let rules = |registry: &Registry| registry.prometheus_rules().latency(0.25, 0.99).to_yaml().expect("valid");
    assert_eq!(rules(&one), rules(&other));
}

#[test]
fn a_dashboard_has_the_given_title_data_source_and_job_label() {
    let registry = registry();
    let default = registry.grafana_dashboard().to_json();
    for part in [
        "\"title\": \"shop\"",
        "\"uid\": \"shop-",
        "\"uid\": \"${datasource}\"",
        "label_values(shop_function_latency_seconds_count, job)",
        "{job=\\\"$job\\\", instance=~\\\"$instance\\\"}",
        // The target has a label `job`, too.
        "{{exported_job}} {{instance}}",
        "\"unit\": \"celsius\"",
    ] {
        assert!(default.contains(part), "{part}\n{default}");
    }
    let given = registry.grafana_dashboard().title("The \"Shop\"").data_source("P1").job_label("service").to_json();
    for part in [
        "\"title\": \"The \\\"Shop\\\"\"",
        "\"uid\": \"the-shop-",
        "\"uid\": \"P1\"",
        "label_values(shop_function_latency_seconds_count, service)",
        "{service=\\\"$job\\\", instance=~\\\"$instance\\\"}",
    ] {
        assert!(given.contains(part), "{part}\n{given}");
    }
    assert!(!given.contains("datasource}") && !given.contains("job=\\\"$job"), "{given}");
    let empty = Registry::new().grafana_dashboard().to_json();
    assert!(empty.contains("\"title\": \"Metrics\"") && empty.contains("label_values(up, job)"), "{empty}");
}

#[test]
fn rules_that_cannot_work_are_errors() {
    let registry = registry();
    let rules = || registry.prometheus_rules();
    for given in [0.0, 0.9, 1.0, 99.9, -1.0, f64::NAN] {
        for rules in [rules().availability(given), rules().latency(0.25, given)] {
            let error = rules.to_yaml().expect_err("not an objective");
            assert!(matches!(error, RulesError::Objective { .. }), "{given}: {error:?}");
        }
    }
    let error = rules().latency(0.3, 0.99).to_yaml().expect_err("no bucket");
    assert_eq!(
        error.to_string(),
        "shop_request_latency_seconds has no bucket with the bound 0.3; use one of [0.25, 1.0], or add it to `buckets`"
    );
    let summaries = Registry::new();
    Summary::builder("shop_request_latency_seconds", "").labels(["path"]).register_in(&summaries).expect("valid");
    assert_eq!(summaries.prometheus_rules().latency(0.25, 0.99).to_yaml(), Err(RulesError::NoHistogram));
}

#[test]
fn rules_use_the_labels_and_bounds_of_the_families() {
    let registry = registry();
    let rules = registry.prometheus_rules().latency(1.0, 0.99).to_yaml().expect("valid");
    for part in [
        // The text format and OpenMetrics write whole bounds differently.
        "sum without (le) (rate(shop_request_latency_seconds_bucket{le=~\\\"1|1\\\\\\\\.0\\\"}[5m]))",
        "job_path_method:shop_request_exceptions:ratio_rate5m",
        "To see the kinds of errors, run `sum by (kind)",
        "take longer than 1 s",
        "14.4 * (1 - 0.999)",
        "name: \"shop_function\"",
    ] {
        assert!(rules.contains(part), "{part}\n{rules}");
    }
    // A summary has no latency objective, and no exceptions have no availability objective.
    assert!(!rules.contains("shop_function_latency_seconds_slow"), "{rules}");
    assert!(!rules.contains("family: \"shop_function"), "{rules}");
    let without_groups = Registry::new().prometheus_rules().to_yaml().expect("valid");
    assert!(without_groups.contains("MetricsCoreProblems") && !without_groups.contains("record"), "{without_groups}");
}

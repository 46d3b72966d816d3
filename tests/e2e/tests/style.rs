//! Compares our style rules with promtool's for many names.

use metrics_core::{Counter, Gauge, Histogram, ProblemKind, Registry, Summary};

use crate::readers;

/// Good and bad names: one for each rule, and some that barely comply.
const NAMES: [&str; 78] = [
    "requests",
    "requests_total",
    "total_requests",
    "requests_totals",
    "x_total_x",
    "requests_count",
    "requests_sum",
    "requests_bucket",
    "count",
    "sum_x",
    "request_bucket_x",
    "requests_counter",
    "counter_requests",
    "a_counter_b",
    "gauge_x",
    "x_gauge",
    "my_summary",
    "my_histogram_x",
    "histogrammed",
    "job:requests",
    "requestsTotal",
    "Requests_x",
    "camelCase_total",
    "HTTP_requests",
    "wait_s",
    "wait_ms",
    "wait_us",
    "wait_ns",
    "wait_sec",
    "wait_seconds",
    "size_b",
    "size_kb",
    "size_mb",
    "size_gb",
    "size_bytes",
    "size_tb_x",
    "time_h",
    "time_d",
    "time_m",
    "s_time",
    "wait_milliseconds",
    "wait_microseconds",
    "wait_minutes",
    "wait_hours",
    "wait_days",
    "wait_weeks",
    "size_kilobytes",
    "size_megabytes",
    "size_kibibytes",
    "size_bits",
    "heat_celsius",
    "heat_fahrenheit",
    "length_meters",
    "length_metres",
    "length_miles",
    "length_inches",
    "weight_grams",
    "weight_kilograms",
    "weight_pounds",
    "energy_joules",
    "energy_calories",
    "current_amperes",
    "milliseconds_wait",
    "wait_seconds_total",
    "info_x",
    "build_info",
    "items_created",
    "requests_TOTAL",
    "items_COUNT",
    "items_SUM",
    "items_BUCKET",
    "wait_Milliseconds",
    "wait_MINUTES",
    "wait_MS",
    "items_GAUGE",
    "level_volts",
    "level_millivolts",
    "level_Volts_seconds",
];

fn promtool_complains(registry: &Registry) -> bool {
    !readers::promtool_says(&registry.to_text()).is_empty()
}

fn we_complain(registry: &Registry) -> bool {
    registry.check().iter().any(|problem| matches!(problem.kind, ProblemKind::Style(_)))
}

#[test]
fn promtool_and_we_reject_the_same_names() {
    let mut compared = 0;
    let mut bad = 0;
    for name in NAMES {
        for kind in ["counter", "gauge", "summary", "histogram"] {
            let registry = Registry::new();
            let registered = match kind {
                "counter" => Counter::builder(name, "Help.").register_in(&registry).map(drop),
                "gauge" => Gauge::builder(name, "Help.").register_in(&registry).map(drop),
                "summary" => Summary::builder(name, "Help.").register_in(&registry).map(drop),
                _ => Histogram::builder(name, "Help.").register_in(&registry).map(drop),
            };
            registered.expect("a valid name");
            let (theirs, ours) = (promtool_complains(&registry), we_complain(&registry));
            assert_eq!(
                ours,
                theirs,
                "{kind} {name}: promtool says {:?}, we say {:?}",
                readers::promtool_says(&registry.to_text()),
                registry.check()
            );
            compared += 1;
            bad += u32::from(theirs);
        }
    }
    assert_eq!(compared, 312);
    assert!((50..250).contains(&bad), "{bad} of the names are bad");
}

#[test]
fn promtool_and_we_reject_the_same_labels_and_help_texts() {
    for (label, help) in
        [("path", "Help."), ("pathName", "Help."), ("le", "Help."), ("quantile", "Help."), ("path", "")]
    {
        let registry = Registry::new();
        Gauge::builder("items", help).labels([label]).register_in(&registry).expect("valid").labels(["x"]);
        assert_eq!(we_complain(&registry), promtool_complains(&registry), "{label} {help:?}");
    }
}

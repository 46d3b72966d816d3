//! The generated Prometheus rules: promtool's lints and unit tests, and a real Prometheus that fires an alert.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use metrics_core::{Counter, Gauge, Histogram, HttpServer, Registry, Summary};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::prometheus::Prometheus;
use crate::{get, wait_for};

/// The families of a shop whose latency is a histogram, and of another service whose latency is a summary.
fn catalog() -> Registry {
    let registry = Registry::new();
    let latency = Histogram::builder("shop_request_latency_seconds", "").labels(["path", "method"]);
    latency.register_in(&registry).expect("valid");
    let counter = |name| Counter::builder(name, "");
    let exceptions = counter("shop_request_exceptions_total").labels(["path", "method", "kind"]);
    exceptions.register_in(&registry).expect("valid");
    counter("shop_request_cancelled_total").labels(["path", "method"]).register_in(&registry).expect("valid");
    Gauge::builder("shop_requests_in_flight", "").labels(["path", "method"]).register_in(&registry).expect("valid");
    let native = Histogram::builder("native_request_latency_seconds", "").native().labels(["path"]);
    native.register_in(&registry).expect("valid");
    let latency = Summary::builder("plain_function_latency_seconds", "").labels(["function"]);
    latency.register_in(&registry).expect("valid");
    counter("plain_function_exceptions_total").labels(["function"]).register_in(&registry).expect("valid");
    registry
}

/// Writes the rules for a catalog to a file.
fn written(registry: &Registry, dir: &TempDir) -> PathBuf {
    let rules = registry.prometheus_rules().availability(0.999).latency(0.25, 0.99).to_yaml().expect("valid");
    let path = dir.path().join("rules.yml");
    fs::write(&path, rules).expect("written");
    path
}

pub(crate) fn promtool(arguments: &[&str], file: &Path) {
    let output = Command::new("promtool").args(arguments).arg(file).output().expect("promtool: run ./tests/run");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

/// Runs promtool's unit tests of the rules in a directory.
fn check(dir: &TempDir, tests: &[Value]) {
    let tests = json!({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests});
    let path = dir.path().join("tests.yml");
    fs::write(&path, tests.to_string()).expect("written");
    promtool(&["test", "rules"], &path);
}

/// A counter with samples each minute, as promtool writes it: the minutes and the increase per minute of each phase.
fn counter(phases: &[(u32, u32)]) -> String {
    let (mut value, mut samples) = (0, "0".to_owned());
    for (minutes, step) in phases {
        samples.push_str(&format!(" {}+{step}x{}", value + step, minutes - 1));
        value += minutes * step;
    }
    samples
}

/// The input of an endpoint of the shop: requests, those that fail, and those that are fast.
fn endpoint(labels: &str, [requests, exceptions, fast]: [&str; 3]) -> Vec<Value> {
    let of = |sample: &str, values: &str| json!({"series": format!("shop_request_{sample}"), "values": values});
    vec![
        of(&format!("latency_seconds_count{{{labels}}}"), requests),
        of(&format!("latency_seconds_bucket{{{labels},le=\"+Inf\"}}"), requests),
        of(&format!("latency_seconds_bucket{{{labels},le=\"0.25\"}}"), fast),
        of(&format!("exceptions_total{{{labels},kind=\"timeout\"}}"), exceptions),
    ]
}

const CART: &str = "job=\"shop\",instance=\"a\",path=\"/cart\",method=\"GET\"";
const OTHER: &str = "job=\"shop\",instance=\"b\",path=\"/cart\",method=\"GET\"";

/// The input of the library's own families.
fn own(overflowed: &str, errors: &str, problems: &str) -> Vec<Value> {
    let of = |sample: &str, values: &str| json!({"series": format!("metrics_core_{sample}"), "values": values});
    vec![
        of("overflowed_total{job=\"shop\",instance=\"a\",family=\"x\"}", overflowed),
        of("internal_errors_total{job=\"shop\",instance=\"a\",kind=\"label_panic\"}", errors),
        of("problems{job=\"shop\",instance=\"a\"}", problems),
    ]
}

/// The alerts that fire at a minute, as their names and severities.
fn firing(minute: u32, alerts: &[(&str, &str)]) -> Value {
    let labels = |(name, severity): &(&str, &str)| format!("{{alertname=\"{name}\", severity=\"{severity}\"}}");
    let samples: Vec<Value> = alerts.iter().map(|alert| json!({"labels": labels(alert), "value": 1})).collect();
    let expr = "count by (alertname, severity) (ALERTS{alertstate=\"firing\"})";
    json!({"expr": expr, "eval_time": format!("{minute}m"), "exp_samples": samples})
}

/// No alert was ever pending or firing, up to a minute.
fn never(minute: u32) -> Value {
    json!({"expr": "count_over_time(ALERTS[5d])", "eval_time": format!("{minute}m"), "exp_samples": []})
}

const ERRORS: &str = "ErrorBudgetBurn";
const LATENCY: &str = "LatencyBudgetBurn";

#[test]
fn promtool_accepts_the_rules_and_each_incident_fires_its_alert() {
    let dir = tempfile::tempdir().expect("a directory");
    let rules = written(&catalog(), &dir);
    promtool(&["check", "rules", "--lint=all", "--lint-fatal"], &rules);
    let quiet = "0x400";
    let steady = counter(&[(300, 600)]);
    // Half of each budget.
    let healthy = [&counter(&[(300, 6_000)])[..], &counter(&[(300, 3)]), &counter(&[(300, 5_970)])];
    let scenarios: Vec<(&str, Vec<Value>, Vec<Value>)> = vec![
        (
            "a healthy service with two instances",
            [endpoint(CART, healthy), endpoint(OTHER, healthy), own(quiet, quiet, quiet)].concat(),
            vec![
                never(300),
                json!({"expr": "job:shop_request_exceptions:ratio_rate1h", "eval_time": "290m", "exp_samples": [
                    {"labels": "job:shop_request_exceptions:ratio_rate1h{job=\"shop\"}", "value": 0.0005},
                ]}),
            ],
        ),
        (
            "a service at rest",
            [endpoint(CART, ["7x300", "5x300", "3x300"]), own("9x300", "9x300", quiet)].concat(),
            vec![never(300)],
        ),
        (
            "a restart, with counters that start again",
            endpoint(
                CART,
                [
                    &format!("{} {}", counter(&[(100, 600)]), steady),
                    "900x100 0x300",
                    &format!("{} {}", counter(&[(100, 600)]), steady),
                ],
            ),
            vec![never(300)],
        ),
        (
            "a restart during which a few requests fail",
            endpoint(
                CART,
                [
                    &format!("{} _x3 {}", counter(&[(100, 600)]), steady),
                    "900x100 _x3 0 5x290",
                    &format!("{} _x3 {}", counter(&[(100, 600)]), steady),
                ],
            ),
            vec![never(300)],
        ),
        (
            "a series that appears later",
            [endpoint(CART, healthy), endpoint(OTHER, ["_x100 50x200", "_x100 50x200", "_x100 0x200"])].concat(),
            vec![never(300)],
        ),
        (
            "all requests fail after a healthy hour",
            endpoint(CART, [&steady, &counter(&[(60, 0), (200, 600)]), &steady]),
            vec![firing(59, &[]), firing(65, &[(ERRORS, "page"), (ERRORS, "ticket")])],
        ),
        (
            "2% of the requests of one of two instances fail",
            [
                endpoint(CART, [&steady, &counter(&[(60, 0), (240, 24)]), &steady]),
                endpoint(OTHER, [&steady, quiet, &steady]),
            ]
            .concat(),
            vec![firing(59, &[]), firing(150, &[(ERRORS, "page"), (ERRORS, "ticket")])],
        ),
        (
            "0.4% of the requests fail, which spends the budget slowly",
            endpoint(CART, [&counter(&[(300, 6_000)]), &counter(&[(300, 24)]), &counter(&[(300, 6_000)])]),
            vec![firing(290, &[(ERRORS, "ticket")])],
        ),
        (
            "half of the requests are slow",
            endpoint(CART, [&steady, quiet, &counter(&[(60, 600), (240, 300)])]),
            vec![firing(59, &[]), firing(150, &[(LATENCY, "page"), (LATENCY, "ticket")])],
        ),
        (
            "3% of the requests are slow, which spends the budget slowly",
            endpoint(CART, [&counter(&[(300, 6_000)]), quiet, &counter(&[(300, 5_800)])]),
            vec![firing(290, &[(LATENCY, "ticket")])],
        ),
        (
            "a single request, which fails",
            endpoint(CART, [&counter(&[(60, 0), (1, 1), (239, 0)]), &counter(&[(60, 0), (1, 1), (239, 0)]), quiet]),
            vec![never(300)],
        ),
        (
            "label sets overflow",
            own(&counter(&[(100, 0), (1, 60), (150, 0)]), quiet, quiet),
            vec![firing(99, &[]), firing(102, &[("MetricsCoreOverflow", "ticket")]), firing(170, &[])],
        ),
        (
            "an internal error",
            own(quiet, &counter(&[(100, 0), (1, 1), (150, 0)]), quiet),
            vec![firing(99, &[]), firing(102, &[("MetricsCoreInternalErrors", "ticket")]), firing(170, &[])],
        ),
        (
            "a problem",
            own(quiet, quiet, "0x99 2x50 0x50"),
            vec![firing(102, &[]), firing(106, &[("MetricsCoreProblems", "ticket")]), firing(155, &[])],
        ),
    ];
    let tests: Vec<Value> = scenarios
        .into_iter()
        .map(|(name, input, checks)| {
            json!({"name": name, "interval": "1m", "input_series": input, "promql_expr_test": checks})
        })
        .collect();
    check(&dir, &tests);
}

#[test]
fn a_whole_bound_works_while_the_format_of_the_scrapes_changes() {
    let dir = tempfile::tempdir().expect("a directory");
    let rules = catalog().prometheus_rules().latency(1.0, 0.99).to_yaml().expect("valid");
    fs::write(dir.path().join("rules.yml"), rules).expect("written");
    let name = "shop_request_latency_seconds";
    let of = |labels: &str, values: &str| json!({"series": format!("{name}_{labels}"), "values": values});
    let requests = counter(&[(100, 60)]);
    // Until minute 50, the bound is written as in the text format, and then as in OpenMetrics.
    let input = [
        of(&format!("count{{{CART}}}"), &requests),
        of(&format!("bucket{{{CART},le=\"+Inf\"}}"), &requests),
        of(&format!("bucket{{{CART},le=\"1\"}}"), &format!("{} stale", counter(&[(50, 60)]))),
        of(&format!("bucket{{{CART},le=\"1.0\"}}"), &format!("_x50 {}", counter(&[(50, 60)]))),
    ];
    // The ratios are computed throughout, and no alert fires.
    let ratio = |window: &str| format!("job:shop_request_latency_seconds_slow:ratio_rate{window}");
    let both = format!("count({} and {})", ratio("5m"), ratio("1h"));
    let at = |minute: u32| {
        let samples = [json!({"labels": "{}", "value": 1})];
        json!({"expr": both, "eval_time": format!("{minute}m"), "exp_samples": samples})
    };
    let checks = [at(40), at(51), at(52), at(54), at(60), at(95), never(95)];
    let test = json!({"interval": "1m", "input_series": input, "promql_expr_test": checks});
    check(&dir, &[test]);
}

#[test]
fn a_change_between_classic_and_native_buckets_fires_no_alert() {
    let dir = tempfile::tempdir().expect("a directory");
    let registry = Registry::new();
    let latency = Histogram::builder("shop_request_latency_seconds", "").native().labels(["path", "method"]);
    latency.register_in(&registry).expect("valid");
    let exceptions = Counter::builder("shop_request_exceptions_total", "").labels(["path", "method", "kind"]);
    exceptions.register_in(&registry).expect("valid");
    let rules = registry.prometheus_rules().availability(0.99).to_yaml().expect("valid");
    // promtool 2.42 has no notation for native histograms, so a counter stands in for their count.
    let native = "histogram_count(rate(shop_request_latency_seconds[";
    assert!(rules.contains(native));
    fs::write(dir.path().join("rules.yml"), rules.replace(native, "(rate(native_count[")).expect("written");
    let of = |name: &str, values: &str| json!({"series": format!("{name}{{{CART}}}"), "values": values});
    // 0.8% of the requests fail, which is less than the budget of 1%. The other kind begins at minute 400.
    let [from, to] = [counter(&[(400, 1_000)]), format!("_x400 {}", counter(&[(100, 1_000)]))];
    let failed = json!({"series": format!("shop_request_exceptions_total{{{CART},kind=\"a\"}}"), "values": "0+8x500"});
    let tests = [
        ["native_count", "shop_request_latency_seconds_count"],
        ["shop_request_latency_seconds_count", "native_count"],
    ]
    .map(|[before, after]| {
        let input = [of(before, &from), of(after, &to), failed.clone()];
        json!({"interval": "1m", "input_series": input, "promql_expr_test": [never(500)]})
    });
    check(&dir, &tests);
}

#[test]
fn a_real_prometheus_fires_the_alert_of_a_service_that_fails() {
    let registry = Registry::new();
    let latency = Histogram::builder("shop_request_latency_seconds", "").labels(["path"]);
    let latency = latency.register_in(&registry).expect("valid").labels(["/cart"]);
    let exceptions = Counter::builder("shop_request_exceptions_total", "").labels(["path"]);
    let exceptions = exceptions.register_in(&registry).expect("valid").labels(["/cart"]);
    let server = HttpServer::builder().registry(&registry).start("127.0.0.1:0").expect("a free port");
    // The rules come from the page, as a user would download them. They have no latency objective.
    let (status, downloaded) = get(&format!("http://{}/?rules", server.local_addr())).expect("an answer");
    assert_eq!((status, &downloaded), (200, &registry.prometheus_rules().to_yaml().expect("valid")));
    let dir = tempfile::tempdir().expect("a directory");
    let rules = written(&registry, &dir);
    for version in Prometheus::VERSIONS {
        let prometheus = Prometheus::with_rules(version, &server.local_addr().to_string(), &rules, &[]);
        let alerts = "ALERTS{alertname=\"ErrorBudgetBurn\", severity=\"page\", alertstate=\"firing\"}";
        assert_eq!(prometheus.query(alerts), []);
        wait_for("the alert", || {
            latency.observe(0.01);
            exceptions.inc();
            thread::sleep(Duration::from_millis(5));
            let firing = prometheus.query(alerts);
            let [(labels, 1.0)] = &firing[..] else { return None };
            assert_eq!(
                (&labels["job"], &labels["family"]),
                (&json!("router"), &json!("shop_request_exceptions_total"))
            );
            Some(())
        });
        assert_eq!(prometheus.query("ALERTS{alertname=\"LatencyBudgetBurn\"}"), []);
    }
}

#[test]
fn a_real_prometheus_fires_the_alert_for_slow_requests_in_native_buckets() {
    let registry = Registry::new();
    let latency = Histogram::builder("shop_request_latency_seconds", "").native().labels(["path"]);
    let latency = latency.register_in(&registry).expect("valid");
    // An endpoint without requests does not hide the others.
    latency.labels(["/idle"]);
    let latency = latency.labels(["/cart"]);
    let server = HttpServer::builder().registry(&registry).start("127.0.0.1:0").expect("a free port");
    let dir = tempfile::tempdir().expect("a directory");
    let rules = written(&registry, &dir);
    for program in Prometheus::VERSIONS {
        let target = server.local_addr().to_string();
        let prometheus = Prometheus::with_rules(program, &target, &rules, &Prometheus::NATIVE);
        let alerts = "ALERTS{alertname=\"LatencyBudgetBurn\", severity=\"page\", alertstate=\"firing\"}";
        assert_eq!(prometheus.query(alerts), []);
        wait_for("the alert", || {
            latency.observe(1.0);
            thread::sleep(Duration::from_millis(5));
            Some(()).filter(|()| prometheus.query(alerts).len() == 1)
        });
        assert_eq!(prometheus.query("shop_request_latency_seconds_bucket"), []);
    }
}

//! The generated Grafana dashboard: the types that Grafana publishes, its layout, and the values of its queries in a
//! real Prometheus.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use metrics_core::{Counter, Gauge, Histogram, HttpServer, Info, LabelValue, Registry, StateSet, Summary};
use serde_json::Value;

use crate::example::Example;
use crate::prometheus::Prometheus;
use crate::{get, readers, rules, wait_for};

#[derive(Clone, Copy, LabelValue)]
enum State {
    Starting,
    Serving,
}

/// A family of each type, and a function that records traffic in all of them. The latency has native buckets if
/// `is_native`.
fn service(registry: &Registry, is_native: bool) -> impl Fn() + use<> {
    let labels = ["path", "method"];
    let latency =
        Histogram::builder("shop_request_latency_seconds", "Latency of requests, in seconds.").unit("seconds");
    let latency = if is_native { latency.native() } else { latency };
    let latency = latency.labels(labels).register_in(registry).expect("valid");
    let counter = |name, help| Counter::builder(name, help);
    let exceptions = counter("shop_request_exceptions_total", "Exceptions.").labels(["path", "method", "kind"]);
    let exceptions = exceptions.register_in(registry).expect("valid");
    let cancelled =
        counter("shop_request_cancelled_total", "Canceled.").labels(labels).register_in(registry).expect("valid");
    let in_flight =
        Gauge::builder("shop_requests_in_flight", "In flight.").labels(labels).register_in(registry).expect("valid");
    let responses = counter("shop_responses_total", "Responses.").labels(["path", "method", "status"]);
    let responses = responses.register_in(registry).expect("valid");
    let calls =
        Summary::builder("shop_function_latency_seconds", "Latency.").quantiles([0.5, 0.99]).labels(["function"]);
    let calls = calls.register_in(registry).expect("valid");
    let failed = counter("shop_function_exceptions_total", "Exceptions.")
        .labels(["function"])
        .register_in(registry)
        .expect("valid");
    let jobs = counter("jobs_done_total", "Jobs done.").labels(["job"]).register_in(registry).expect("valid");
    let sent = counter("cache_sent_bytes_total", "Bytes sent.").unit("bytes").register_in(registry).expect("valid");
    let hits = Gauge::builder("cache_hit_ratio", "Hits.").unit("ratio").register_in(registry).expect("valid");
    let last =
        Gauge::builder("import_last_success_timestamp_seconds", "Last import.").register_in(registry).expect("valid");
    let steps = Summary::builder("step_latency_seconds", "Latency of a step, in seconds.")
        .register_in(registry)
        .expect("valid");
    let sizes = Histogram::builder("upload_size_bytes", "Size of uploads, in bytes.")
        .native()
        .register_in(registry)
        .expect("valid");
    let state =
        StateSet::<State>::builder("service_state", "State of the service.").register_in(registry).expect("valid");
    Info::builder("shop_build_info", "Build.").const_label("version", "1").register_in(registry).expect("valid");
    state.set(&State::Starting);
    move || {
        latency.labels(["/cart", "GET"]).observe(0.02);
        exceptions.labels(["/cart", "GET", "timeout"]).inc();
        cancelled.labels(["/cart", "GET"]).inc();
        in_flight.labels(["/cart", "GET"]).set(2);
        responses.labels(["/cart", "GET", "200"]).inc();
        calls.labels(["pay"]).observe(0.1);
        failed.labels(["pay"]).inc();
        jobs.labels(["mail"]).inc();
        sent.inc_by(100);
        hits.set(0.5);
        last.set(1_700_000_000);
        steps.observe(0.5);
        sizes.observe(2_000);
        state.set(&State::Serving);
    }
}

/// The panels, including those of collapsed rows, without the rows.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let all = dashboard["panels"].as_array().expect("a list").iter();
    all.flat_map(|panel| match panel["panels"].as_array() {
        Some(nested) => nested.iter().collect(),
        None => vec![panel],
    })
    .collect()
}

#[test]
fn every_panel_shows_values_from_a_real_prometheus() {
    panels_show_values(Prometheus::VERSIONS[0], &[]);
}

#[test]
fn every_panel_shows_values_from_a_prometheus_that_stores_native_buckets() {
    panels_show_values(Prometheus::VERSIONS[1], &Prometheus::NATIVE);
}

fn panels_show_values(program: &str, arguments: &[&str]) {
    let registry = Registry::new();
    let record = service(&registry, !arguments.is_empty());
    record();
    let server = HttpServer::builder().registry(&registry).start("127.0.0.1:0").expect("a free port");
    let prometheus = Prometheus::start_version(program, &server.local_addr().to_string(), "", arguments);
    let dashboard: Value = serde_json::from_str(&registry.grafana_dashboard().to_json()).expect("JSON");
    // Only the global registry has the library's own families.
    let of_library = |panel: &Value| panel["description"].as_str().is_some_and(|text| text.contains("`metrics_core_"));
    let variables = dashboard["templating"]["list"].as_array().expect("a list").iter();
    for query in variables.filter_map(|variable| variable["query"]["query"].as_str()) {
        // `label_values(selector, label)` is Grafana's way to write a request for the values of a label.
        let (selector, label) =
            query.strip_prefix("label_values(").and_then(|rest| rest.rsplit_once(", ")).expect(query);
        let series = prometheus.query(&format!("count by (job, instance) ({})", selector.replace("$job", "router")));
        let label = label.trim_end_matches(')');
        assert!(series.iter().any(|(labels, _)| labels[label].is_string()), "{query}: {series:?}");
    }
    let mut queries = 0;
    for panel in panels(&dashboard).into_iter().filter(|panel| !of_library(panel)) {
        for target in panel["targets"].as_array().expect("a list") {
            queries += 1;
            let expr = target["expr"].as_str().expect("text");
            assert_eq!(expr.matches("=\"$job\"").count(), expr.matches("instance=~\"$instance\"").count(), "{expr}");
            let mut asked = expr.replace("$__rate_interval", "2s").replace("$job", "router").replace("$instance", ".*");
            let has_native_buckets = panel["type"] == "heatmap" && !arguments.is_empty();
            if has_native_buckets {
                // The buckets are not a number, but their count is.
                asked = format!("histogram_count({asked})");
            }
            let result = wait_for(&asked, || {
                record();
                thread::sleep(Duration::from_millis(20));
                Some(prometheus.query(&asked)).filter(|result| result.iter().any(|(_, value)| value.is_finite()))
            });
            let legend = target["legendFormat"].as_str().expect("text");
            assert!(!legend.is_empty(), "{panel}");
            for label in legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
                let has_label = |(labels, _): &(Value, f64)| labels.get(label).is_some() || has_native_buckets;
                assert!(result.iter().all(has_label), "{label}: {asked}: {result:?}");
            }
        }
    }
    assert!(queries > 40, "{queries}");
}

#[test]
fn the_example_writes_a_dashboard_and_rules() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut observe = Example::start("observe", &["127.0.0.1:0", &dir.path().display().to_string()]);
    let addr = observe.addr();
    let written = |name: &str| fs::read_to_string(dir.path().join(name)).expect("written");
    wait_for("the files", || dir.path().join("dashboard.json").exists().then_some(()));
    for part in ["\"title\": \"Shop\"", "shop_products_sold_total", "payment_request_latency_seconds"] {
        assert!(written("dashboard.json").contains(part), "{part}");
    }
    assert_eq!(get(&format!("http://{addr}/?dashboard")).expect("an answer").0, 200);
    rules::promtool(&["check", "rules", "--lint=all", "--lint-fatal"], &dir.path().join("rules.yml"));
    assert!(written("rules.yml").contains("LatencyBudgetBurn"));
    wait_for("a failed payment", || {
        let (_, text) = get(&format!("http://{addr}/metrics")).ok()?;
        let declined = "payment_request_exceptions_total{path=\"/payment\",kind=\"declined\"} ";
        text.lines().any(|line| line.strip_prefix(declined).is_some_and(|count| count != "0")).then_some(())
    });
}

#[test]
fn the_compose_file_is_yaml_and_mounts_files_that_exist() {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/observe"));
    let compose = fs::read_to_string(dir.join("compose.yaml")).expect("a file");
    let script = "import sys, yaml\n\
        for service in yaml.safe_load(sys.stdin)['services'].values():\n    \
            for volume in service['volumes']: print(volume.split(':')[0])";
    let mounted = readers::python(script, &compose);
    assert_eq!(mounted.lines().count(), 5, "{mounted}");
    for file in mounted.lines().filter(|file| !file.starts_with("../../target/observe/")) {
        let text = fs::read_to_string(dir.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        readers::python("import sys, yaml; yaml.safe_load(sys.stdin)", &text);
    }
}

#[test]
fn panels_have_different_numbers_and_do_not_overlap() {
    let registry = Registry::new();
    service(&registry, true)();
    let dashboard: Value = serde_json::from_str(&registry.grafana_dashboard().to_json()).expect("JSON");
    let rows = dashboard["panels"].as_array().expect("a list").iter().filter(|panel| panel["type"] == "row");
    let all: Vec<&Value> = panels(&dashboard).into_iter().chain(rows).collect();
    let mut cells = std::collections::BTreeSet::new();
    let mut numbers = std::collections::BTreeSet::new();
    for panel in &all {
        assert!(numbers.insert(panel["id"].as_u64().expect("a number")), "{panel}");
        let at = |name: &str| panel["gridPos"][name].as_u64().expect("a number");
        assert!(at("x") + at("w") <= 24 && at("w") > 0, "{panel}");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(cells.insert((x, y)), "an overlap at {x}, {y}: {panel}");
            }
        }
    }
}

#[test]
fn the_dashboard_has_the_types_of_grafana_10_and_11() {
    let registry = Registry::new();
    service(&registry, true)();
    let dashboard = registry.grafana_dashboard().title("Shop").to_json();
    let types = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/grafana-types"));
    let shape = include_str!("dashboard/board.ts");
    for (version, schema, stat) in [
        ("11", "@grafana/schema", "Stat.Options"),
        ("10", "grafana-schema-10", "Stat.Options & { percentChangeColorMode?: string; showPercentChange: boolean }"),
    ] {
        let shape = shape.replace("SCHEMA", schema).replace("STATOPTIONS", stat);
        let table = "Omit<Table.FieldConfig, 'inspect'> & { inspect: boolean }";
        let source = format!("{}\nexport const board: Board = {dashboard};\n", shape.replace("TABLECUSTOM", table));
        let file = types.join(format!("board{version}.ts"));
        fs::write(&file, source).expect("the types are installed: run ./tests/run");
        let output = Command::new(types.join("node_modules/.bin/tsc"))
            .args(["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--skipLibCheck"])
            .args(["--moduleResolution", "bundler", "--module", "esnext", "--target", "es2022"])
            .arg(&file)
            .output()
            .expect("the compiler is installed: run ./tests/run");
        assert!(output.status.success(), "Grafana {version}: {}", String::from_utf8_lossy(&output.stdout));
    }
}
